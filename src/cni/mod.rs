//! The CNI plugin: one call of a container runtime, from environment and
//! standard input to the answer, the exit status and one record in the log.
//!
//! I/O: reads standard input and the environment, and writes the answer.

mod configuration;
mod environment;
pub mod reply;
pub mod request;
mod request_error;
pub(crate) mod stdout;
pub(crate) mod version;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::panic::{self, PanicHookInfo};
use std::process;
use std::sync::OnceLock;
use std::time::Instant;

use crate::call_record::CallRecord;
use crate::capabilities;
use crate::error_chain::ErrorChain;
use crate::journal;
use crate::plugin::{self, PluginError, Report};
use request::{Call, Request};
use request_error::RequestError;
use stdout::Stdout;

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

/// Standard input, once it is read. A panic's answer needs it, too.
static INPUT: OnceLock<Vec<u8>> = OnceLock::new();

/// Serves the one call that this process was started for: answers on standard
/// output, and returns the exit status, 0 or 1. `env` looks a variable up.
///
/// It takes the whole process: a panic is answered as well and ends it, and the
/// thread may be in another network namespace afterwards.
pub fn run(env: impl Fn(&str) -> Option<OsString>) -> u8 {
    let started = Instant::now();
    panic::set_hook(Box::new(move |info| {
        let error = CniError::internal(info);
        let status = answer(Err(&error));
        // Everything in a record is text before the logger has it, and so no
        // panic comes out of the logger, whose lock would never be free.
        let variable = |name| std::env::var(name).ok();
        let mut record = CallRecord {
            verb: variable("CNI_COMMAND").unwrap_or_default(),
            container: variable("CNI_CONTAINERID"),
            interface: variable("CNI_IFNAME"),
            ..CallRecord::default()
        };
        record.fail(reply::code(&error), &error);
        journal::write(record, started.elapsed());
        process::exit(status.into());
    }));
    let result = match read(io::stdin().lock()) {
        // A DEL never fails, not even without its input.
        Err(_) if env("CNI_COMMAND").is_some_and(|verb| verb == "DEL") => serve(&env, b"", started),
        input => input.and_then(|input| serve(&env, input, started)),
    };
    answer(result.as_deref())
}

/// Writes the answer and returns the exit status.
fn answer(result: Result<&str, &CniError>) -> u8 {
    let failure = |error| {
        let version = INPUT.get().and_then(|input| configuration::version_of(input));
        reply::failure(error, version.as_deref())
    };
    let written = match result {
        Ok(answer) => Stdout.write_all(answer.as_bytes()),
        Err(error) => Stdout.write_all(failure(error).as_bytes()),
    };
    // A runtime that closed the pipe cannot get an error either.
    u8::from(result.is_err() || written.is_err())
}

fn read(stdin: impl Read) -> Result<&'static [u8], CniError> {
    let mut input = Vec::new();
    stdin.take(INPUT_MAX + 1).read_to_end(&mut input).map_err(CniError::Stdin)?;
    if input.len() as u64 > INPUT_MAX {
        return Err(RequestError::Input(format!("it is longer than {INPUT_MAX} bytes")).into());
    }
    Ok(INPUT.get_or_init(|| input))
}

/// One call, with its record in the log.
fn serve(
    env: &impl Fn(&str) -> Option<OsString>,
    input: &[u8],
    started: Instant,
) -> Result<String, CniError> {
    let call = match request::parse(env, input) {
        Ok(call) => call,
        Err(error) => {
            let error = CniError::from(error);
            journal::open(&configuration::log_of(input));
            let verb = env("CNI_COMMAND").map(|verb| verb.to_string_lossy().into_owned());
            let mut record = CallRecord { verb: verb.unwrap_or_default(), ..Default::default() };
            record.fail(reply::code(&error), &error);
            journal::write(record, started.elapsed());
            return Err(error);
        }
    };
    let Some(settings) = call.request.settings() else {
        return Ok(reply::versions(call.version));
    };
    journal::open(&settings.log);
    for warning in &settings.warnings {
        log::warn!("{warning}");
    }
    let mut record = record_of(&call.request);
    let answer = match act(&call) {
        Ok((answer, report)) => {
            for warning in &report.warnings {
                log::warn!("{warning}");
            }
            complete(&mut record, report);
            Ok(answer)
        }
        Err(error) => {
            record.fail(reply::code(&error), &error);
            Err(error)
        }
    };
    if let Some(kept) = capabilities::failure() {
        log::warn!("{}", ErrorChain(kept));
    }
    journal::write(record, started.elapsed());
    answer
}

/// Does what is asked.
fn act(call: &Call<'_>) -> Result<(String, Report), CniError> {
    let nothing = String::new();
    Ok(match &call.request {
        Request::Add(attachment, result) => {
            let report = plugin::add(attachment)?;
            (reply::pass_on(result, call.version), report)
        }
        Request::Check(attachment) => (nothing, plugin::check(attachment)?),
        Request::Del(removal) => (nothing, plugin::del(removal)),
        Request::Gc(_) => (nothing, Report::default()),
        Request::Status(_) => (nothing, plugin::status()),
        Request::Version => (reply::versions(call.version), Report::default()),
    })
}

/// The record of a call that is well-formed, before it is served.
fn record_of(request: &Request<'_>) -> CallRecord {
    let (container, interface, pod) = match request {
        Request::Add(attachment, _) | Request::Check(attachment) => (
            Some(attachment.container.clone()),
            Some(attachment.interface.clone()),
            attachment.pod_name.clone(),
        ),
        Request::Del(removal) => {
            (removal.container.clone(), removal.interface.clone(), removal.pod_name.clone())
        }
        Request::Gc(_) | Request::Status(_) | Request::Version => (None, None, None),
    };
    CallRecord {
        verb: request.verb().to_owned(),
        container,
        interface,
        pod,
        digest: request.settings().map(|settings| settings.digest()),
        ..CallRecord::default()
    }
}

/// Adds what was done.
fn complete(record: &mut CallRecord, report: Report) {
    record.rules = report.rules.map(|rules| rules as u64);
    if let Some(decision) = &report.decision {
        record.decision = Some(decision.word().to_owned());
        record.reason = Some(decision.reason_word().to_owned());
        record.detail = Some(decision.reason());
        if let Some(redirect) = decision.redirect() {
            let lists = redirect.pod_lists.join(",");
            record.mesh = Some(redirect.mesh.to_owned());
            record.annotations = Some(lists).filter(|lists| !lists.is_empty());
        }
    }
    if report.note.is_some() {
        record.detail = report.note;
    }
}

impl CniError {
    /// The error that a panic is.
    fn internal(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map(ToString::to_string);
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().copied();
        let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        CniError::Internal {
            place: place.unwrap_or_else(|| "an unknown place".to_owned()),
            message: message.unwrap_or("no message").to_owned(),
        }
    }
}
