//! Providers of the host's own: each call goes out as JSON, and its reply comes back as JSON.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    sync::Arc,
    time::Duration,
};

use fulcrum_core::{
    model::{ProviderId, Settings, SkuId, parse_json},
    provider::{
        Call, Provider,
        callback::{CallbackDescription, CallbackProvider, ProviderCallbacks},
    },
};

use crate::{
    call_thread::caller_signal_mask,
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation, open_federation},
    guard::{Outcome, guard_on_call_thread, out, utf8},
    signals::Mask,
    text::fulcrum_text,
};

/// Where the reply to one call of a provider goes. Opaque; valid during the callback only.
#[derive(Debug, Default)]
pub struct fulcrum_reply {
    json: Option<Outcome<String>>,
}

/// Makes one call of a provider of the host's. `call` is its name ("provision"), ended by NUL; `request` is a JSON object. The
/// reply goes to fulcrum_reply_set(). Returns false if nobody can say what has happened: then the key is looked up before
/// anything else is done. Called on threads of the library, up to 256 at once, each with a stack of 2 MiB and the signal mask
/// of the thread that open_federation the federation; it may wait, and must not unwind.
pub type fulcrum_provider_callback = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        call: *const c_char,
        request: *const c_char,
        request_length: usize,
        reply: *mut fulcrum_reply,
    ) -> bool,
>;

/// A provider of the host's. Set `size` to sizeof(fulcrum_provider).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_provider {
    /// sizeof(fulcrum_provider) as the caller knows it.
    pub size: usize,
    /// Borrowed; JSON: `provider` (who sells, and where the regions are) and `capabilities` (which calls are answered, and what
    /// repeating them does).
    pub description: *const c_char,
    /// Bytes of `description`.
    pub description_length: usize,
    /// Answers the calls; what each asks and answers is in docs/adapters/host.md.
    pub call: fulcrum_provider_callback,
    /// Passed to `call`; must stay valid until fulcrum_federation_free() has returned.
    pub userdata: *mut c_void,
}

/// Sets the reply to the call of a provider that is under way.
///
/// @param reply              borrowed; as the callback got it.
/// @param json, json_length  copied; a JSON object.
///
/// # Safety
/// `reply` is that of the callback under way; the text is valid for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_reply_set(
    reply: *mut fulcrum_reply,
    json: *const c_char,
    json_length: usize,
) {
    // SAFETY: the caller's promise above.
    let Some(reply) = (unsafe { reply.as_mut() }) else { return };
    // SAFETY: as above.
    let json = unsafe { utf8(json, json_length, "the reply") };
    reply.json = Some(json.map(str::to_owned)).filter(|json| !matches!(json, Ok(json) if json.is_empty()));
}

#[derive(Debug)]
struct CallbackCalls {
    call: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, usize, *mut fulcrum_reply) -> bool,
    userdata: *mut c_void,
    mask: Mask,
}

// SAFETY: the callback is documented to be called on any thread, several at once, and `userdata` is only passed to it.
unsafe impl Send for CallbackCalls {}
// SAFETY: as above.
unsafe impl Sync for CallbackCalls {}

impl ProviderCallbacks for CallbackCalls {
    fn call(&self, call: Call, request: &str) -> Result<String, String> {
        let name = CString::new(call.word()).unwrap_or_default();
        let name: &CStr = &name;
        let mut reply = fulcrum_reply::default();
        let is_known = self.mask.run_host_code(|| {
            // SAFETY: all pointers are valid for the call; the host has promised the rest.
            unsafe {
                (self.call)(
                    self.userdata,
                    name.as_ptr(),
                    request.as_ptr().cast(),
                    request.len(),
                    &raw mut reply,
                )
            }
        });
        match (is_known, reply.json) {
            (true, Some(json)) => json.map_err(|error| error.message.to_string_lossy().into_owned()),
            (true, None) => {
                Err("the callback returned true without fulcrum_reply_set(); set a reply, or return false"
                    .to_owned())
            }
            (false, _) => {
                Err("the callback returned false: whether the call took effect is unknown".to_owned())
            }
        }
    }
}

/// # Safety
/// `providers` points to as many structures as `count` says, each of the size that it says; what they point to is valid.
unsafe fn read(providers: *const fulcrum_provider, count: usize) -> Outcome<Vec<Arc<dyn Provider>>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if providers.is_null() || count > 1000 {
        return Err(fulcrum_error::argument("providers is NULL, or provider_count is above 1000"));
    }
    // SAFETY: the first member is there in every version.
    let size = unsafe { providers.cast::<usize>().read() };
    let own = size_of::<fulcrum_provider>();
    if size != own {
        let message = format!("providers->size is {size}; set it to sizeof(fulcrum_provider), here {own}");
        return Err(fulcrum_error::argument(&message));
    }
    // SAFETY: the caller's promise above.
    let providers = unsafe { std::slice::from_raw_parts(providers, count) };
    let provider = |given: &fulcrum_provider| -> Outcome<Arc<dyn Provider>> {
        // SAFETY: the caller's promise above.
        let text = unsafe { utf8(given.description, given.description_length, "providers->description")? };
        let description: CallbackDescription = parse_json(text)?;
        let call = given.call.ok_or_else(|| fulcrum_error::argument("providers->call is NULL"))?;
        let calls = Arc::new(CallbackCalls { call, userdata: given.userdata, mask: caller_signal_mask() });
        Ok(Arc::new(CallbackProvider::new(description, calls)?))
    };
    providers.iter().map(provider).collect()
}

/// Opens a federation from a text, as fulcrum_federation_open() does, with more reach or with providers of the
/// host's own.
///
/// @param config, config_length      borrowed; YAML or JSON: ledger, rates, providers (which may be empty).
/// @param base, base_length          borrowed; the folder that relative paths start from; empty for the
///                                   working folder.
/// @param reach, reach_length        borrowed; JSON: what the configuration may read and reach, see "Who is
///                                   trusted" in docs/c.md; empty for what lies below `base` and the usual
///                                   APIs.
/// @param providers, provider_count  borrowed; the host's own. Their userdata stays valid until the
///                                   federation is freed.
/// @param out_federation             receives a federation that the caller owns and frees with
///                                   fulcrum_federation_free().
/// @param out_error                  may be NULL; else NULL on success, or an error for
///                                   fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_open_with(
    config: *const c_char,
    config_length: usize,
    base: *const c_char,
    base_length: usize,
    reach: *const c_char,
    reach_length: usize,
    providers: *const fulcrum_provider,
    provider_count: usize,
    out_federation: *mut *mut fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (config, base, reach, out_federation) = unsafe {
            (
                utf8(config, config_length, "config")?,
                utf8(base, base_length, "base")?,
                utf8(reach, reach_length, "reach")?,
                out(out_federation, "out_federation")?,
            )
        };
        // SAFETY: the caller's promise above.
        let providers = unsafe { read(providers, provider_count)? };
        *out_federation = open_federation(config, reach, base, providers)?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_federation, out_error, call) }
}

/// Runs the conformance suite at one provider. The result is a JSON object with `checks` (name, outcome, and the
/// reason unless passed), `is_passed`, and all of it for people as `text`. With a SKU the suite buys and ends that
/// product a few times: at a real cloud that costs money.
///
/// @param federation                 borrowed.
/// @param provider, provider_length  borrowed; its name.
/// @param sku, sku_length            borrowed; what to buy; empty to buy nothing.
/// @param settings, settings_length  borrowed; a JSON object of texts that the product is made with; empty
///                                   for none.
/// @param timeout_ms                 how long one list or operation may take.
/// @param out_json                   receives a text that the caller owns and frees with
///                                   fulcrum_text_free().
/// @param out_error                  may be NULL; else NULL on success, or an error for
///                                   fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_run_conformance_json(
    federation: *const fulcrum_federation,
    provider: *const c_char,
    provider_length: usize,
    sku: *const c_char,
    sku_length: usize,
    settings: *const c_char,
    settings_length: usize,
    timeout_ms: u64,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, provider, sku, settings, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(provider, provider_length, "provider")?,
                utf8(sku, sku_length, "sku")?,
                utf8(settings, settings_length, "settings")?,
                out(out_json, "out_json")?,
            )
        };
        let wrong = |error: fulcrum_core::model::InvalidId| fulcrum_error::argument(&error.to_string());
        let provider: ProviderId = provider.parse().map_err(wrong)?;
        let sku: Option<SkuId> = if sku.is_empty() { None } else { Some(sku.parse().map_err(wrong)?) };
        let settings: Settings = if settings.is_empty() { Settings::new() } else { parse_json(settings)? };
        let check =
            federation.inner.check(&provider, sku.as_ref(), settings, Duration::from_millis(timeout_ms));
        let report = federation.wait(check)??;
        let document = serde_json::json!({
            "checks": report.checks, "is_passed": report.is_passed(), "text": report.to_string(),
        });
        *out_json = fulcrum_text::boxed(document.to_string());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}
