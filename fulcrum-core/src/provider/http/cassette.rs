//! Cassettes: requests and responses recorded as text without secrets, and replayed.

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
    sanitiser::{REDACTED, Sanitiser, request_texts},
};

/// Each line of a cassette begins so.
const LINE_PREFIX: &str = r#"{"request""#;

/// One request with its response: a line of a cassette.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Interaction {
    request: RecordedRequest,
    #[serde(default)]
    response: Option<RecordedResponse>,
    /// Why there is no response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RecordedRequest {
    method: String,
    /// Path and query.
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

/// Records each request with its response as one line of JSON. Fields, headers and parameters of the allow-list are recorded
/// as they are; of all others only type and length. Secrets that the client knows are removed everywhere. Only the file's
/// owner may read the file.
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
    /// The file cannot be opened, or is not a recording.
    pub fn append(inner: Arc<dyn Transport>, path: &Path, redactor: Redactor) -> std::io::Result<Self> {
        Ok(Self { inner, file: Mutex::new(open(path)?), redactor })
    }

    fn entry(&self, request: &RawRequest, outcome: &Result<RawResponse, TransportError>) -> Interaction {
        // A response may repeat texts of its request.
        let (asked, was_form) = (request.body.as_deref().unwrap_or_default(), is_form(&request.headers));
        let redactor = self.redactor.with(request_texts(asked, was_form));
        let sanitiser = Sanitiser::new(&redactor);
        Interaction {
            request: RecordedRequest {
                method: request.method.to_string(),
                path: sanitiser.path(&request.url),
                body: sanitiser.body(asked, was_form),
            },
            response: outcome.as_ref().ok().map(|response| RecordedResponse {
                status: response.status.as_u16(),
                headers: sanitiser.headers(&response.headers),
                body: sanitiser.body(&response.body, is_form(&response.headers)),
            }),
            lost: outcome.as_ref().err().map(TransportError::to_string),
        }
    }
}

/// Opens a recording that only its owner may read. Refuses any other file: a document may name every path.
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
    (&mut file).take(LINE_PREFIX.len() as u64).read_to_end(&mut head)?;
    if !head.is_empty() && head != LINE_PREFIX.as_bytes() {
        let message = "the file is not a recording; name a new file in `record`";
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
                tracing::warn!(%error, "a request is missing from the recording");
            }
        }
        outcome
    }
}

/// A cassette cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// The file cannot be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line is not a valid interaction.
    #[error("line {line} of the recording is not valid: {why}; record it again")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The parser's message.
        why: String,
    },
}

/// Replays a cassette. A request gets the first unplayed interaction with its method, path and query. When all of these are
/// played, the last one is repeated. Request bodies are not compared.
#[derive(Debug)]
pub struct Replay {
    entries: Mutex<Vec<(Interaction, bool)>>,
}

impl Replay {
    /// Reads a cassette from a file.
    ///
    /// # Errors
    /// [`CassetteError`]: the file cannot be read, or a line is not valid.
    pub fn open(path: &Path) -> Result<Self, CassetteError> {
        Self::of_text(&std::fs::read_to_string(path)?)
    }

    /// Reads a cassette from text with a line for each request.
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

    /// Interactions that were not played: method and path of each.
    pub fn unplayed(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = entries.iter().filter(|(_, is_played)| !is_played);
        rest.map(|(entry, _)| format!("{} {}", entry.request.method, entry.request.path)).collect()
    }

    fn next(&self, method: &Method, path: &str) -> Option<Interaction> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &Interaction| {
            entry.request.method == method.as_str() && paths_match(&entry.request.path, path)
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
                format!("the recording has no {} {path}; record it again", request.method).into(),
            ));
        };
        let Some(said) = entry.response else {
            return Err(TransportError::OutcomeUnknown(entry.lost.unwrap_or_default().into()));
        };
        let headers = said.headers.iter().filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.as_str()?).ok()?))
        });
        Ok(RawResponse {
            status: StatusCode::from_u16(said.status)
                .map_err(|error| TransportError::OutcomeUnknown(format!("the recording: {error}").into()))?,
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
fn paths_match(recorded: &str, asked: &str) -> bool {
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
            || recorded.starts_with(REDACTED)
            || matches!((value(recorded), value(asked)), (Some((a, blank)), Some((b, _))) if a == b && blank.starts_with(REDACTED))
    };
    path.len() == asked_path.len()
        && query.len() == asked_query.len()
        && path.iter().zip(&asked_path).all(is_same)
        && query.iter().zip(&asked_query).all(is_same)
}
