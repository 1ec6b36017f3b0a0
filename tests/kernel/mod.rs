//! What the real kernel says: rules go in, come back, and hold together.

mod commit;
mod damage;
mod filled;
mod guards;
mod lifecycle;
mod modules;
mod neighbours;
mod newest;
mod pod_ip;
mod random;
mod refusals;
mod samples;
mod sizes;
