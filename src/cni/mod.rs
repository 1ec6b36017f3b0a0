//! Face 1, the CNI plugin: one call of a container runtime, from environment
//! and standard input to the answer, the exit status and one line in the log.

pub mod reply;
pub mod request;
pub mod stdout;

use std::any::Any;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::time::Instant;

use crate::config::RawConf;
use crate::journal::{self, CallLine};
use crate::plugin::{self, PluginError, Report};
use crate::privilege;
use request::{Call, Request, RequestError};

/// More input than this is no network configuration (in bytes).
const INPUT_MAX: u64 = 16 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// The call itself is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What was asked for could not be done.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Standard input broke off.
    #[error("cannot read standard input")]
    Stdin(#[source] io::Error),
    /// A bug of ours.
    #[error("internal error at {place}: {message}")]
    Internal {
        /// File, line and column.
        place: String,
        /// What the panic said.
        message: String,
    },
}

/// Answers one call. The exit status is 0, or 1 with an error on `stdout`.
pub fn run(env: impl Fn(&str) -> Option<OsString>, stdin: impl Read, mut stdout: impl Write) -> u8 {
    let started = Instant::now();
    let mut input = Vec::new();
    let result =
        read(stdin, &mut input).and_then(|()| without_panic(|| serve(&env, &input, started)));
    let (answer, status) = match result {
        Ok(answer) => (answer, 0),
        Err(error) => {
            let version = request::version_of(&input);
            (reply::failure(&error, version.as_deref()), 1)
        }
    };
    // A runtime that closed the pipe cannot be told so.
    match stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => status,
        Err(_) => 1,
    }
}

fn read(stdin: impl Read, input: &mut Vec<u8>) -> Result<(), CniError> {
    stdin.take(INPUT_MAX + 1).read_to_end(input).map_err(CniError::Stdin)?;
    if input.len() as u64 > INPUT_MAX {
        input.clear();
        return Err(RequestError::Input(format!("it is longer than {INPUT_MAX} bytes")).into());
    }
    Ok(())
}

/// One call, with its line in the log.
fn serve(
    env: &impl Fn(&str) -> Option<OsString>,
    input: &[u8],
    started: Instant,
) -> Result<String, CniError> {
    let call = match request::parse(env, input) {
        Ok(call) => call,
        Err(error) => {
            let error = CniError::from(error);
            journal::open(&request::log_of(input));
            let verb = env("CNI_COMMAND").map(|verb| verb.to_string_lossy().into_owned());
            let mut line = CallLine { verb: verb.unwrap_or_default(), ..CallLine::default() };
            line.fail(reply::code(&error), &error);
            line.write(started.elapsed());
            return Err(error);
        }
    };
    if let Request::Version = call.request {
        return Ok(reply::versions(call.version));
    }
    journal::open(&call.request.conf().map(RawConf::log).unwrap_or_default());
    let result = without_panic(|| act(&call));
    let mut line = CallLine::of(&call.request);
    let answer = match result {
        Ok((answer, report)) => {
            line.report(&report);
            Ok(answer)
        }
        Err(error) => {
            line.fail(reply::code(&error), &error);
            Err(error)
        }
    };
    if let Some(failure) = privilege::failure() {
        log::warn!("this call has more rights than it needs, they cannot be laid down: {failure}");
    }
    line.write(started.elapsed());
    answer
}

/// Does what is asked. What an operator should know is logged on the way.
fn act(call: &Call<'_>) -> Result<(String, Report), CniError> {
    let nothing = String::new();
    for warning in call.request.conf().map(RawConf::warnings).unwrap_or_default() {
        log::warn!("{warning}");
    }
    let (answer, report) = match &call.request {
        Request::Add(attachment, result) => {
            let report = plugin::add(attachment, result)?;
            (reply::pass_on(result, call.version), report)
        }
        Request::Check(attachment, result) => (nothing, plugin::check(attachment, *result)?),
        Request::Del(attachment) => (nothing, plugin::del(attachment)),
        Request::Gc(_) => (nothing, Report::default()),
        Request::Status(_) => (nothing, plugin::status()?),
        Request::Version => (reply::versions(call.version), Report::default()),
    };
    for warning in &report.warnings {
        log::warn!("{warning}");
    }
    Ok((answer, report))
}

/// Where the last panic was, told by the hook to [`without_panic`].
static PANIC_PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Runs `work`; a panic in it becomes an error with its place.
pub fn without_panic<T>(work: impl FnOnce() -> Result<T, CniError>) -> Result<T, CniError> {
    let place = || PANIC_PLACE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        *place() = info.location().map(ToString::to_string);
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(previous);
    result.unwrap_or_else(|payload| {
        let place = place().take().unwrap_or_else(|| "an unknown place".to_owned());
        Err(CniError::Internal { place, message: panic_message(&*payload).to_owned() })
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
