//! What the real kernel says: rules go in, come back, and hold together.

mod commit;
mod samples;
