//! What went over the network, kept as text without secrets, and played again.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Lost, Redactor, Transport, WireAnswer, WireRequest};

/// One request with its answer: a line of a tape.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    request: Asked,
    #[serde(default)]
    response: Option<Said>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    method: String,
    /// With what stands behind the question mark.
    path: String,
    #[serde(default)]
    body: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
}

/// Keeps what goes through in a file, a line of JSON each, without secrets: headers and fields with telling names are
/// blanked, and so is every secret that the client knows, wherever it stands.
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
    /// It cannot be opened for that.
    pub fn append(inner: Arc<dyn Transport>, path: &Path, redactor: Redactor) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { inner, file: Mutex::new(file), redactor })
    }

    fn entry(&self, request: &WireRequest, outcome: &Result<WireAnswer, Lost>) -> Entry {
        let body = |bytes: &[u8]| if bytes.is_empty() { Value::Null } else { self.redactor.body(bytes) };
        let headers = |headers: &HeaderMap| {
            let text = |(name, value): (&HeaderName, &HeaderValue)| {
                let value = self.redactor.header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
                (name.to_string(), Value::String(value))
            };
            headers.iter().map(text).collect()
        };
        Entry {
            request: Asked {
                method: request.method.to_string(),
                path: self.redactor.text(&path_of(&request.url)),
                body: body(request.body.as_deref().unwrap_or_default()),
            },
            response: outcome.as_ref().ok().map(|answer| Said {
                status: answer.status.as_u16(),
                headers: headers(&answer.headers),
                body: body(&answer.body),
            }),
            lost: outcome.as_ref().err().map(Lost::to_string),
        }
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: WireRequest) -> Result<WireAnswer, Lost> {
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
pub enum TapeError {
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
    entries: Mutex<Vec<(Entry, bool)>>,
}

impl Replay {
    /// Of a file.
    ///
    /// # Errors
    /// [`TapeError`]: it cannot be read, or a line makes no sense.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        Self::of_text(&std::fs::read_to_string(path)?)
    }

    /// Of a text with a line for each request.
    ///
    /// # Errors
    /// [`TapeError::Line`].
    pub fn of_text(text: &str) -> Result<Self, TapeError> {
        let entry = |(at, line): (usize, &str)| {
            let wrong = |error: serde_json::Error| TapeError::Line { line: at + 1, why: error.to_string() };
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

    fn next(&self, method: &Method, path: &str) -> Option<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &Entry| {
            entry.request.method == method.as_str() && sorted(&entry.request.path) == sorted(path)
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
    async fn send(&self, request: WireRequest) -> Result<WireAnswer, Lost> {
        let path = path_of(&request.url);
        let Some(entry) = self.next(&request.method, &path) else {
            return Err(Lost::NotSent(format!("not on the recording: {} {path}", request.method).into()));
        };
        let Some(said) = entry.response else {
            return Err(Lost::Unknown(entry.lost.unwrap_or_default().into()));
        };
        let headers = said.headers.iter().filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.as_str()?).ok()?))
        });
        Ok(WireAnswer {
            status: StatusCode::from_u16(said.status)
                .map_err(|error| Lost::Unknown(format!("on the recording: {error}").into()))?,
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

/// A path whose parameters stand in order: that in which they are written says nothing.
fn sorted(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let mut parameters: Vec<_> = query.split('&').filter(|it| !it.is_empty()).collect();
    parameters.sort_unstable();
    format!("{path}?{}", parameters.join("&"))
}
