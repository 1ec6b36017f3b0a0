//! The I/O boundary to nf_tables: one netlink socket, opened inside a network
//! namespace and used from anywhere. It opens that socket and nothing else.

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;

use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::libc::{MSG_DONTWAIT, MSG_TRUNC};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use rustables::sys::{
    NFT_MSG_GETGEN, NFT_MSG_GETTABLE, NFTA_GEN_ID, NFTA_TABLE_NAME, NLM_F_DUMP, NLMSG_DONE,
    NLMSG_ERROR,
};

use super::answer::{Answer, no_nf_tables, refusal};
use super::decode;
use super::encode::Batch;
use super::error::{ANSWER_SECONDS, NftError};
use super::netlink::{self, Message, Messages, ne_u32};
use crate::ruleset::{Family, Owner, TABLE};

/// No datagram of a dump is longer (`netlink_dump` in `net/netlink`).
const DATAGRAM_MAX: usize = 32 * 1024;

/// Sequence numbers of requests start here; a batch's start at 0.
const FIRST_REQUEST: u32 = 1 << 31;

/// A socket to the nf_tables of one network namespace.
#[derive(Debug)]
pub struct NftSocket {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
    /// Whether the last answer was not read to its end.
    is_unread: bool,
}

/// The owner of table `osm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableOwner {
    /// There is no table of this name.
    NoTable,
    /// There is one, without our comment.
    Foreign,
    /// It was made by osm-cni, for this attachment.
    Ours(Owner),
}

/// Why a request was not answered.
pub(super) enum Unanswered {
    /// The kernel answered with an error.
    Errno(Errno),
    /// The socket failed.
    Failed(NftError),
}

impl NftSocket {
    /// Opens a socket to the nf_tables of the calling thread's network
    /// namespace. It stays with that namespace wherever it is used.
    ///
    /// # Errors
    /// [`NftError::Socket`], or [`NftError::Unsupported`] where the kernel has
    /// no nfnetlink.
    #[expect(clippy::disallowed_methods, reason = "the I/O boundary to nf_tables")]
    pub fn open() -> Result<Self, NftError> {
        let socket = Socket::new(NETLINK_NETFILTER).map_err(|source| {
            match source.raw_os_error().map(Errno::from_raw) {
                Some(errno @ (Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT)) => {
                    let missing = "the kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK)";
                    NftError::Unsupported { missing, errno }
                }
                _ => NftError::Socket { doing: "open a netlink socket", source },
            }
        })?;
        // the kernel's own text; without these two there are only errnos
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        let limit = TimeVal::seconds(ANSWER_SECONDS.into());
        setsockopt(&socket, sockopt::ReceiveTimeout, &limit)
            .map_err(|errno| failed("limit the wait for the kernel", errno.into()))?;
        Ok(NftSocket { socket, buffer: Vec::new(), sequence: FIRST_REQUEST, is_unread: false })
    }

    /// Sends a transaction and waits for its outcome. On an error nothing was
    /// changed, but for [`NftError::NoAnswer`], where it is not known.
    ///
    /// # Errors
    /// [`NftError::Refused`] with the message at fault,
    /// [`NftError::Unsupported`] without nf_tables, [`NftError::Socket`].
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<(), NftError> {
        const DOING: &str = "send the rules";
        if batch.is_empty() {
            return Ok(());
        }
        self.send(DOING, batch.bytes())?;
        // Success is one answer, the last message's. Errors come before it, the
        // commit's own (as sequence number 0) before all others.
        let mut refused: Option<NftError> = None;
        let mut lost = false;
        loop {
            let wait = if refused.is_some() || lost { MSG_DONTWAIT } else { 0 };
            match self.receive(wait) {
                Ok(()) => {}
                Err(Errno::EAGAIN) => break,
                Err(Errno::ENOBUFS) => {
                    lost = true;
                    continue;
                }
                Err(errno) => return Err(failed(DOING, errno.into())),
            }
            let mut complete = false;
            for message in Messages(&self.buffer) {
                let Some(answer) = Answer::read(&message) else { continue };
                if answer.error != 0 && refused.is_none() {
                    refused = Some(refusal(batch, message.sequence, answer));
                }
                complete |= message.sequence == batch.last_sequence();
            }
            if complete && !lost {
                return refused.map_or(Ok(()), Err);
            }
        }
        Err(refused.unwrap_or(NftError::NoAnswer { doing: DOING }))
    }

    /// The owner of table `osm` of this family: one request, no dump.
    ///
    /// # Errors
    /// [`NftError::Unreadable`], [`NftError::Socket`].
    pub fn owner(&mut self, family: Family) -> Result<TableOwner, NftError> {
        const DOING: &str = "read the owner of the rules";
        let request = (NFT_MSG_GETTABLE, 0, Some(family), &[(NFTA_TABLE_NAME, TABLE)][..]);
        let mut owner = TableOwner::Foreign;
        let answer = self.ask(DOING, request, |message| {
            let comment = decode::table_comment(&message);
            owner = match comment.and_then(Owner::parse) {
                Some(owner) => TableOwner::Ours(owner),
                None => TableOwner::Foreign,
            };
            ControlFlow::Continue(())
        });
        match answer {
            Ok(()) => Ok(owner),
            Err(Unanswered::Errno(errno)) if is_absent(errno) => Ok(TableOwner::NoTable),
            Err(unanswered) => Err(unanswered.doing(DOING)),
        }
    }

    /// The generation of this namespace's rules: [`encode::UNTOUCHED`], and one
    /// more with each transaction. It needs nothing of nf_tables but that it exists.
    ///
    /// [`encode::UNTOUCHED`]: super::encode::UNTOUCHED
    ///
    /// # Errors
    /// [`NftError::Unsupported`] where the kernel has no nf_tables.
    pub fn generation(&mut self) -> Result<u32, NftError> {
        const DOING: &str = "ask nf_tables for its generation";
        let mut generation = None;
        let answer = self.ask(DOING, (NFT_MSG_GETGEN, 0, None, &[]), |message| {
            generation = message.attributes().find(NFTA_GEN_ID).and_then(|id| id.u32());
            ControlFlow::Continue(())
        });
        match answer {
            Ok(()) => generation.ok_or(NftError::Malformed { doing: DOING }),
            Err(Unanswered::Errno(errno)) => Err(no_nf_tables(errno)),
            Err(unanswered) => Err(unanswered.doing(DOING)),
        }
    }

    /// Sends one request (kind, flags, family, attributes) and passes each message
    /// of the answer to `each`, until that breaks off.
    pub(super) fn ask(
        &mut self,
        doing: &'static str,
        (kind, flags, family, texts): (u32, u32, Option<Family>, &[(u16, &str)]),
        each: impl FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<(), Unanswered> {
        // the kernel takes no other request while it answers one
        if mem::take(&mut self.is_unread) {
            self.answers(doing, true, |_| ControlFlow::Continue(()))?;
        }
        self.sequence = self.sequence.checked_add(1).unwrap_or(FIRST_REQUEST);
        let mut request = Vec::new();
        netlink::add_message(&mut request, kind, flags, self.sequence, family, |bytes| {
            for (kind, text) in texts {
                netlink::add_attribute(bytes, *kind, text.as_bytes());
            }
        });
        self.send(doing, &request)?;
        self.answers(doing, flags & NLM_F_DUMP == NLM_F_DUMP, each)
    }

    /// Receives the answer to the last request: one message, or a dump's.
    fn answers(
        &mut self,
        doing: &'static str,
        dump: bool,
        mut each: impl FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<(), Unanswered> {
        loop {
            self.receive(0).map_err(|errno| match errno {
                Errno::EAGAIN | Errno::ENOBUFS => NftError::NoAnswer { doing },
                errno => failed(doing, errno.into()),
            })?;
            for message in Messages(&self.buffer) {
                if message.sequence != self.sequence {
                    continue;
                }
                match u32::from(message.kind) {
                    // a dump's end has an errno too, in the same place
                    NLMSG_ERROR | NLMSG_DONE => {
                        let errno = ne_u32(message.body, 0).unwrap_or_default() as i32;
                        if errno != 0 {
                            return Err(Unanswered::Errno(Errno::from_raw(errno.wrapping_neg())));
                        }
                        if message.interrupted() {
                            return Err(Unanswered::Errno(Errno::EINTR));
                        }
                        return Ok(());
                    }
                    _ if message.interrupted() => return Err(Unanswered::Errno(Errno::EINTR)),
                    _ if each(message).is_break() => {
                        self.is_unread = dump;
                        return Ok(());
                    }
                    _ => {}
                }
                if !dump {
                    return Ok(());
                }
            }
        }
    }

    fn send(&self, doing: &'static str, bytes: &[u8]) -> Result<(), NftError> {
        let mut grown = false;
        loop {
            match self.socket.send(bytes, 0) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(failed(doing, io::ErrorKind::WriteZero.into())),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if err.raw_os_error() == Some(Errno::EMSGSIZE as i32) && !grown => {
                    grown = true;
                    self.grow(bytes.len());
                }
                Err(err) => return Err(failed(doing, err)),
            }
        }
    }

    /// Makes room for a batch that is larger than the default buffer. Where we
    /// may not, the next send says so.
    fn grow(&self, size: usize) {
        let socket = self.socket.as_fd();
        if setsockopt(&socket, sockopt::SndBufForce, &size).is_err() {
            let _ = setsockopt(&socket, sockopt::SndBuf, &size);
        }
    }

    /// Receives the kernel's next datagram into the buffer.
    fn receive(&mut self, flags: i32) -> Result<(), Errno> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM_MAX);
            match self.socket.recv_from(&mut self.buffer, flags | MSG_TRUNC) {
                // only the kernel's own port is 0
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok((length, _)) if length > self.buffer.len() => return Err(Errno::EMSGSIZE),
                Ok(_) => return Ok(()),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(Errno::from_raw(err.raw_os_error().unwrap_or_default())),
            }
        }
    }
}

impl Unanswered {
    /// The error of a request, where the caller has no better text.
    pub(super) fn doing(self, doing: &'static str) -> NftError {
        match self {
            Unanswered::Errno(errno) => NftError::Unreadable { doing, errno },
            Unanswered::Failed(err) => err,
        }
    }
}

impl From<NftError> for Unanswered {
    fn from(err: NftError) -> Self {
        Unanswered::Failed(err)
    }
}

/// Whether a table can't be there: it is not, or its family is not.
pub(super) fn is_absent(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT)
}

fn failed(doing: &'static str, source: io::Error) -> NftError {
    NftError::Socket { doing, source }
}
