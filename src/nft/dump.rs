//! Reads our tables back: one request for each kind of object, all at one
//! generation of the ruleset.
//!
//! I/O: through [`NftSocket`] only.

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use rustables::sys::{
    NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE,
    NFTA_RULE_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_TABLE,
    NFTA_TABLE_NAME, NLM_F_DUMP,
};

use super::decode;
use super::error::NftError;
use super::installed::Installed;
use super::netlink::Message;
use super::socket::{NftSocket, Unanswered, is_absent};
use crate::ruleset::{Family, Owner, Ruleset, TABLE};

/// How often a dump is tried because the ruleset was changed meanwhile.
const TRIES: u32 = 20;

const DOING: &str = "read the rules";

impl NftSocket {
    /// Our tables of both families, as they are now.
    ///
    /// # Errors
    /// [`NftError::Unreadable`], [`NftError::Changing`], [`NftError::Socket`].
    pub fn installed(&mut self) -> Result<Installed, NftError> {
        self.read(None)
    }

    /// The same, to be compared with these rules: reading ends at the first set
    /// that has more elements than it should have. Somebody in the pod may have
    /// added hundreds of thousands.
    ///
    /// # Errors
    /// See [`NftSocket::installed`].
    pub fn installed_up_to(&mut self, expected: &Ruleset) -> Result<Installed, NftError> {
        self.read(Some(expected))
    }

    fn read(&mut self, expected: Option<&Ruleset>) -> Result<Installed, NftError> {
        for tried in 0..TRIES {
            // at once the first time, then with some time for the change to end
            if tried > 0 {
                thread::sleep(Duration::from_millis(tried.into()));
            }
            let mut dump = Dump::default();
            match self.dump(&mut dump, expected) {
                Ok(()) => {
                    let (installed, repeated) = decode::installed_checked(&dump.bytes);
                    if dump.consistent && !repeated {
                        return Ok(installed);
                    }
                }
                // interrupted, or an object was removed between two requests
                Err(Unanswered::Errno(Errno::EINTR | Errno::ENOENT)) => {}
                Err(unanswered) => return Err(unanswered.doing(DOING)),
            }
        }
        Err(NftError::Changing)
    }

    fn dump(&mut self, dump: &mut Dump, expected: Option<&Ruleset>) -> Result<(), Unanswered> {
        for family in [Family::Ip, Family::Ip6] {
            let table = (NFT_MSG_GETTABLE, 0, Some(family), &[(NFTA_TABLE_NAME, TABLE)][..]);
            let mut owner = None;
            let answer = self.ask(DOING, table, |message| {
                owner = decode::table_comment(&message).and_then(Owner::parse);
                dump.add(&message)
            });
            match answer {
                Ok(()) => {}
                Err(Unanswered::Errno(errno)) if is_absent(errno) => continue,
                Err(unanswered) => return Err(unanswered),
            }
            let mut all = |kind, texts: &[(u16, &str)]| {
                self.ask(DOING, (kind, NLM_F_DUMP, Some(family), texts), |m| dump.add(&m))
            };
            all(NFT_MSG_GETCHAIN, &[])?;
            all(NFT_MSG_GETSET, &[(NFTA_SET_TABLE, TABLE)])?;
            all(NFT_MSG_GETRULE, &[(NFTA_RULE_TABLE, TABLE)])?;
            // the sets of another layout or interface are not compared
            let table = expected.and_then(|expected| expected.table(family));
            let compared = owner.is_some() && owner == table.and_then(|table| table.owner.clone());
            for set in decode::set_names(&dump.bytes, family) {
                let expected = table.filter(|_| compared).map(|table| table.set(&set));
                let most =
                    expected.map_or(usize::MAX, |set| set.map_or(0, |set| set.elements.count()));
                let texts = [(NFTA_SET_ELEM_LIST_TABLE, TABLE), (NFTA_SET_ELEM_LIST_SET, &set)];
                let elements = (NFT_MSG_GETSETELEM, NLM_F_DUMP, Some(family), &texts[..]);
                let mut count = 0;
                self.ask(DOING, elements, |message| {
                    count += decode::element_count(&message);
                    let _ = dump.add(&message);
                    if count > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                // the rest of the answer is still to come, so no other request
                // can be sent; what was read differs already
                if count > most {
                    return Ok(());
                }
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
    fn add(&mut self, message: &Message<'_>) -> ControlFlow<()> {
        let generation = message.generation();
        self.consistent &= self.generation.is_none() || self.generation == generation;
        self.generation = generation;
        message.write(&mut self.bytes);
        ControlFlow::Continue(())
    }
}
