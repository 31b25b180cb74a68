//! What went over the network, kept as text without secrets, and played again.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ::http::{
    Method, StatusCode,
    header::{HeaderName, HeaderValue},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    RawRequest, RawResponse, Redactor, Transport, TransportError,
    request::is_form,
    sieve::{BLANK, Sieve, withheld},
};

/// How each line of a recording begins.
const BEGINS: &str = r#"{"request""#;

/// One request with its answer: a line of a tape.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Interaction {
    request: RecordedRequest,
    #[serde(default)]
    response: Option<RecordedResponse>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RecordedRequest {
    method: String,
    /// With what stands behind the question mark.
    path: String,
    #[serde(default)]
    body: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RecordedResponse {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
}

/// Keeps what goes through in a file, a line of JSON each: fields, headers and parameters that are known to be harmless, and
/// of all others type and length. Every secret that the client knows is left out wherever it stands. Only the file's owner may
/// read it.
#[derive(Debug)]
pub struct Recorder {
    inner: Arc<dyn Transport>,
    file: Mutex<File>,
    redactor: Redactor,
}

impl Recorder {
    /// Appends to a file.
    ///
    /// # Errors
    /// It cannot be opened for that, or is a file of something else.
    pub fn append(inner: Arc<dyn Transport>, path: &Path, redactor: Redactor) -> std::io::Result<Self> {
        Ok(Self { inner, file: Mutex::new(open(path)?), redactor })
    }

    fn entry(&self, request: &RawRequest, outcome: &Result<RawResponse, TransportError>) -> Interaction {
        // What the request says is no more harmless in an answer.
        let (asked, was_form) = (request.body.as_deref().unwrap_or_default(), is_form(&request.headers));
        let redactor = self.redactor.with(withheld(asked, was_form));
        let sieve = Sieve::new(&redactor);
        Interaction {
            request: RecordedRequest {
                method: request.method.to_string(),
                path: sieve.path(&request.url),
                body: sieve.body(asked, was_form),
            },
            response: outcome.as_ref().ok().map(|response| RecordedResponse {
                status: response.status.as_u16(),
                headers: sieve.headers(&response.headers),
                body: sieve.body(&response.body, is_form(&response.headers)),
            }),
            lost: outcome.as_ref().err().map(TransportError::to_string),
        }
    }
}

/// Opens a recording, which its owner alone may read. Nothing else is written to: a document might name any file.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(file);
    }
    let mut head = Vec::new();
    (&mut file).take(BEGINS.len() as u64).read_to_end(&mut head)?;
    if !head.is_empty() && head != BEGINS.as_bytes() {
        let message = "it is no recording; name a new file in `record`";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(file)
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let outcome = self.inner.send(request.clone()).await;
        if let Ok(mut line) = serde_json::to_vec(&self.entry(&request, &outcome)) {
            line.push(b'\n');
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = file.write_all(&line) {
                tracing::warn!(%error, "the recording misses a request");
            }
        }
        outcome
    }
}

/// A tape cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// It cannot be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line makes no sense.
    #[error("line {line} of the recording: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Answers as a tape says: each request by the first line of the same method and path, question mark included, that was
/// not played yet; the last such line is played again and again, as what is asked for twice need not stand there twice.
/// Bodies of requests are not compared.
#[derive(Debug)]
pub struct Replay {
    entries: Mutex<Vec<(Interaction, bool)>>,
}

impl Replay {
    /// Of a file.
    ///
    /// # Errors
    /// [`CassetteError`]: it cannot be read, or a line makes no sense.
    pub fn open(path: &Path) -> Result<Self, CassetteError> {
        Self::of_text(&std::fs::read_to_string(path)?)
    }

    /// Of a text with a line for each request.
    ///
    /// # Errors
    /// [`CassetteError::Line`].
    pub fn of_text(text: &str) -> Result<Self, CassetteError> {
        let entry = |(at, line): (usize, &str)| {
            let wrong =
                |error: serde_json::Error| CassetteError::Line { line: at + 1, why: error.to_string() };
            serde_json::from_str(line).map(|entry| (entry, false)).map_err(wrong)
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        Ok(Self { entries: Mutex::new(lines.map(entry).collect::<Result<_, _>>()?) })
    }

    /// What was not asked for: method and path of each line.
    pub fn rest(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = entries.iter().filter(|(_, is_played)| !is_played);
        rest.map(|(entry, _)| format!("{} {}", entry.request.method, entry.request.path)).collect()
    }

    fn next(&self, method: &Method, path: &str) -> Option<Interaction> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &Interaction| {
            entry.request.method == method.as_str() && is_asked(&entry.request.path, path)
        };
        if let Some((entry, is_played)) =
            entries.iter_mut().find(|(entry, is_played)| !is_played && is_it(entry))
        {
            *is_played = true;
            return Some(entry.clone());
        }
        entries.iter().rev().find(|(entry, _)| is_it(entry)).map(|(entry, _)| entry.clone())
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let path = path_of(&request.url);
        let Some(entry) = self.next(&request.method, &path) else {
            return Err(TransportError::NotSent(
                format!("not on the recording: {} {path}", request.method).into(),
            ));
        };
        let Some(said) = entry.response else {
            return Err(TransportError::OutcomeUnknown(entry.lost.unwrap_or_default().into()));
        };
        let headers = said.headers.iter().filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.as_str()?).ok()?))
        });
        Ok(RawResponse {
            status: StatusCode::from_u16(said.status).map_err(|error| {
                TransportError::OutcomeUnknown(format!("on the recording: {error}").into())
            })?,
            headers: headers.collect(),
            body: match said.body {
                Value::Null => Vec::new(),
                Value::String(text) => text.into_bytes(),
                json => json.to_string().into_bytes(),
            }
            .into(),
        })
    }
}

fn path_of(url: &url::Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// Whether a path is that of a recording. The order of its parameters says nothing, and what was left out may be anything.
fn is_asked(recorded: &str, asked: &str) -> bool {
    let parts = |path: &str| -> (Vec<String>, Vec<String>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parameters: Vec<_> =
            query.split('&').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        parameters.sort_unstable();
        (path.split('/').map(str::to_owned).collect(), parameters)
    };
    let ((path, query), (asked_path, asked_query)) = (parts(recorded), parts(asked));
    let is_same = |(recorded, asked): (&String, &String)| {
        let value =
            |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        recorded == asked
            || recorded.starts_with(BLANK)
            || matches!((value(recorded), value(asked)), (Some((a, blank)), Some((b, _))) if a == b && blank.starts_with(BLANK))
    };
    path.len() == asked_path.len()
        && query.len() == asked_query.len()
        && path.iter().zip(&asked_path).all(is_same)
        && query.iter().zip(&asked_query).all(is_same)
}
