//! Reads our tables back: one request for each kind of object, all at one
//! generation of the ruleset. Somebody in the pod may have filled a table with
//! hundreds of thousands of objects, so only what is needed is read.
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

use super::compare::{Extent, extent};
use super::decode::Decoder;
use super::error::NftError;
use super::installed::{Installed, InstalledTable};
use super::netlink::Message;
use super::socket::{NftSocket, Unanswered, is_absent};
use crate::ruleset::{Family, Ruleset, TABLE, Table};

/// How often a dump is tried because the ruleset was changed meanwhile.
const TRIES: u32 = 20;

/// How many objects beyond the expected number are read, so that a usual difference
/// is named exactly.
const SURPLUS: usize = 256;

/// Of a table that is read without anything expected, no more chains or sets are
/// read than this. Ours has ten chains.
const OBJECTS_MAX: usize = 4096;

/// How many bytes of the kernel's answers are read beyond what is expected: half a
/// million elements, some thirty thousand rules, or the chains of other tables.
const BYTES_MAX: usize = 8 << 20;

/// An object that is expected takes no more bytes than this.
const OBJECT_BYTES: usize = 1024;

/// Where iptables-nft keeps its rules for address translation.
const IPTABLES_NAT: &str = "nat";

/// The placeholder for objects that were not read.
const NOT_READ: &str = "remainder (not read: there are more objects than osm-cni ever sets)";

const DOING: &str = "read the rules";

/// How much of a table is read.
#[derive(Clone, Copy)]
enum Depth<'e> {
    /// Its comment.
    Comment,
    /// Its chains with their rules, and its sets without elements.
    Rules,
    /// All of it.
    Everything,
    /// The same, to be compared with this one.
    Expected(&'e Table),
}

impl NftSocket {
    /// Our tables of both families, as they are now.
    ///
    /// # Errors
    /// [`NftError::Unreadable`], [`NftError::Changing`], [`NftError::Socket`].
    pub fn installed(&mut self) -> Result<Installed, NftError> {
        self.read(TABLE, |_| Depth::Everything)
    }

    /// The same without the elements of sets, as [`redirection`] compares them.
    ///
    /// [`redirection`]: super::compare::redirection
    ///
    /// # Errors
    /// See [`NftSocket::installed`].
    pub(crate) fn installed_rules(&mut self) -> Result<Installed, NftError> {
        self.read(TABLE, |_| Depth::Rules)
    }

    /// The same, as far as [`check`] compares it with these rules.
    ///
    /// [`check`]: super::compare::check
    ///
    /// # Errors
    /// See [`NftSocket::installed`].
    pub fn installed_up_to(&mut self, expected: &Ruleset) -> Result<Installed, NftError> {
        self.read(TABLE, |found| {
            let Some(table) = expected.table(found.family) else { return Depth::Comment };
            match (&table.owner, &found.owner) {
                (None, _) => Depth::Expected(table),
                (Some(_), None) => Depth::Comment,
                (Some(owner), Some(other)) => match extent(owner, other) {
                    Ok(Extent::Whole) => Depth::Expected(table),
                    Ok(Extent::Outline) => Depth::Rules,
                    Err(_) => Depth::Comment,
                },
            }
        })
    }

    /// The table `nat` of IPv4 in which iptables-nft keeps its rules. That of
    /// iptables-legacy is no table of nf_tables.
    ///
    /// # Errors
    /// See [`NftSocket::installed`].
    pub(crate) fn iptables_nat(&mut self) -> Result<Option<InstalledTable>, NftError> {
        let found = self.read(IPTABLES_NAT, |found| match found.family {
            Family::Ip => Depth::Rules,
            Family::Ip6 => Depth::Comment,
        })?;
        Ok(found.tables.into_iter().find(|table| table.family == Family::Ip))
    }

    /// Reads the tables of this name.
    fn read<'e>(
        &mut self,
        name: &'static str,
        depth: impl Fn(&InstalledTable) -> Depth<'e>,
    ) -> Result<Installed, NftError> {
        for tried in 0..TRIES {
            // at once the first time, then with some time for the change to end
            if tried > 0 {
                thread::sleep(Duration::from_millis(tried.into()));
            }
            let mut dump = Dump::new(name);
            match self.dump(&mut dump, &depth) {
                Ok(()) => {
                    let (installed, repeated) = dump.decoder.finish();
                    if !dump.is_mixed && !repeated {
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

    fn dump<'e>(
        &mut self,
        dump: &mut Dump,
        depth: impl Fn(&InstalledTable) -> Depth<'e>,
    ) -> Result<(), Unanswered> {
        for family in [Family::Ip, Family::Ip6] {
            let table = (NFT_MSG_GETTABLE, 0, Some(family), &[(NFTA_TABLE_NAME, dump.name)][..]);
            let answer = self.ask(DOING, table, |message| {
                dump.add(&message);
                ControlFlow::Continue(())
            });
            match answer {
                Ok(()) => {}
                Err(Unanswered::Errno(errno)) if is_absent(errno) => continue,
                Err(unanswered) => return Err(unanswered),
            }
            let Some(table) = dump.decoder.table(family) else { continue };
            let depth = depth(table);
            self.dump_table(dump, family, depth)?;
            if dump.is_full {
                let is_expected = matches!(depth, Depth::Expected(_)) && dump.bytes <= dump.most;
                let table = dump.decoder.table(family).filter(|_| !is_expected);
                table.into_iter().for_each(|table| table.foreign.push(NOT_READ.to_owned()));
                break;
            }
        }
        Ok(())
    }

    fn dump_table(
        &mut self,
        dump: &mut Dump,
        family: Family,
        depth: Depth<'_>,
    ) -> Result<(), Unanswered> {
        let expected = match depth {
            Depth::Comment => return Ok(()),
            Depth::Rules | Depth::Everything => None,
            Depth::Expected(table) => Some(table),
        };
        let rules =
            |table: &Table| table.chains.iter().map(|chain| chain.rules.len()).sum::<usize>();
        if let Some(table) = expected {
            let elements: usize = table.sets.iter().map(|set| set.elements.count()).sum();
            dump.most += OBJECT_BYTES * (elements + rules(table));
        }
        let most = |count: fn(&Table) -> usize, otherwise| {
            Some(expected.map_or(otherwise, |table| count(table) + SURPLUS))
        };
        let name = dump.name;
        // The kernel has no request for the chains of one table.
        let chains = most(|table| table.chains.len(), OBJECTS_MAX);
        self.dump_all(dump, family, (NFT_MSG_GETCHAIN, &[]), chains)?;
        let sets = most(|table| table.sets.len(), OBJECTS_MAX);
        self.dump_all(dump, family, (NFT_MSG_GETSET, &[(NFTA_SET_TABLE, name)]), sets)?;
        let rules = expected.map(|table| rules(table) + SURPLUS);
        self.dump_all(dump, family, (NFT_MSG_GETRULE, &[(NFTA_RULE_TABLE, name)]), rules)?;
        let table = dump.decoder.table(family).filter(|_| !matches!(depth, Depth::Rules));
        let sets = table.map(|table| &table.sets[..]).unwrap_or_default();
        let names: Vec<String> = sets.iter().map(|set| set.name.to_string()).collect();
        for set in names {
            let count = |table: &Table| table.set(&set).map_or(0, |set| set.elements.count());
            let most = expected.map(|table| count(table) + SURPLUS);
            let texts = [(NFTA_SET_ELEM_LIST_TABLE, name), (NFTA_SET_ELEM_LIST_SET, &set)];
            self.dump_all(dump, family, (NFT_MSG_GETSETELEM, &texts), most)?;
        }
        Ok(())
    }

    /// Reads all objects of a kind, but no more than `most` of the table.
    fn dump_all(
        &mut self,
        dump: &mut Dump,
        family: Family,
        (kind, texts): (u32, &[(u16, &str)]),
        most: Option<usize>,
    ) -> Result<(), Unanswered> {
        if dump.is_full {
            return Ok(());
        }
        let mut objects = 0;
        self.ask(DOING, (kind, NLM_F_DUMP, Some(family), texts), |message| {
            objects += dump.add(&message);
            dump.is_full = most.is_some_and(|most| objects > most) || dump.bytes > dump.most;
            if dump.is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}

/// What was read so far.
struct Dump {
    /// The tables' name.
    name: &'static str,
    decoder: Decoder,
    generation: Option<u16>,
    /// Whether the answers are about several generations.
    is_mixed: bool,
    /// How many bytes all answers have so far.
    bytes: usize,
    /// How many bytes may be read.
    most: usize,
    /// Whether reading ended before the kernel's answer did.
    is_full: bool,
}

impl Dump {
    fn new(name: &'static str) -> Self {
        Dump {
            name,
            decoder: Decoder::new(name),
            generation: None,
            is_mixed: false,
            bytes: 0,
            most: BYTES_MAX,
            is_full: false,
        }
    }

    /// Returns how many objects of the table the message has.
    fn add(&mut self, message: &Message<'_>) -> usize {
        let generation = message.generation();
        self.is_mixed |= self.generation.is_some() && self.generation != generation;
        self.generation = generation;
        self.bytes += message.body.len();
        self.decoder.add(message)
    }
}
