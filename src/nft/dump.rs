//! Reads our tables back: one question per object kind, all at one generation
//! of the ruleset.
//!
//! Speaks through [`NftSocket`] only.

use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use rustables::sys::{
    NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE,
    NFTA_RULE_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_TABLE,
    NFTA_TABLE_NAME, NLM_F_DUMP,
};

use super::decode::{self, Installed};
use super::error::NftError;
use super::netlink::Message;
use super::socket::{NftSocket, Unanswered, is_absent};
use crate::ruleset::{Family, TABLE};

/// How often a dump is begun anew because the ruleset was in motion.
const TRIES: u32 = 20;

const DOING: &str = "read the rules";

impl NftSocket {
    /// Our tables of both families, as they are now.
    ///
    /// # Errors
    /// [`NftError::Unreadable`], [`NftError::Changing`], [`NftError::Socket`].
    pub fn installed(&mut self) -> Result<Installed, NftError> {
        for tried in 0..TRIES {
            // the first time at once; what changes is given some time
            if tried > 0 {
                thread::sleep(Duration::from_millis(tried.into()));
            }
            let mut dump = Dump::default();
            match self.dump(&mut dump) {
                Ok(()) => {
                    let (installed, repeated) = decode::installed_checked(&dump.bytes);
                    if dump.consistent && !repeated {
                        return Ok(installed);
                    }
                }
                // interrupted, or an object went away between two questions
                Err(Unanswered::Errno(Errno::EINTR | Errno::ENOENT)) => {}
                Err(unanswered) => return Err(unanswered.doing(DOING)),
            }
        }
        Err(NftError::Changing)
    }

    fn dump(&mut self, dump: &mut Dump) -> Result<(), Unanswered> {
        for family in [Family::Ip, Family::Ip6] {
            let table = (NFT_MSG_GETTABLE, 0, Some(family), &[(NFTA_TABLE_NAME, TABLE)][..]);
            match self.ask(DOING, table, |message| dump.add(&message)) {
                Ok(()) => {}
                Err(Unanswered::Errno(errno)) if is_absent(errno) => continue,
                Err(unanswered) => return Err(unanswered),
            }
            let mut all = |kind, texts: &[(u16, &str)]| {
                self.ask(DOING, (kind, NLM_F_DUMP, Some(family), texts), |message| {
                    dump.add(&message);
                })
            };
            all(NFT_MSG_GETCHAIN, &[])?;
            all(NFT_MSG_GETSET, &[(NFTA_SET_TABLE, TABLE)])?;
            all(NFT_MSG_GETRULE, &[(NFTA_RULE_TABLE, TABLE)])?;
            for set in decode::set_names(&dump.bytes, family) {
                let texts = [(NFTA_SET_ELEM_LIST_TABLE, TABLE), (NFTA_SET_ELEM_LIST_SET, &set)];
                let elements = (NFT_MSG_GETSETELEM, NLM_F_DUMP, Some(family), &texts[..]);
                self.ask(DOING, elements, |message| dump.add(&message))?;
            }
        }
        Ok(())
    }
}

/// The messages of all answers, one behind the other.
struct Dump {
    bytes: Vec<u8>,
    generation: Option<u16>,
    /// Whether all answers are about one generation.
    consistent: bool,
}

impl Default for Dump {
    fn default() -> Self {
        Dump { bytes: Vec::new(), generation: None, consistent: true }
    }
}

impl Dump {
    fn add(&mut self, message: &Message<'_>) {
        let generation = message.generation();
        self.consistent &= self.generation.is_none() || self.generation == generation;
        self.generation = generation;
        message.write(&mut self.bytes);
    }
}
