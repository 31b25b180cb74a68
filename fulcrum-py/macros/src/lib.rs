//! `#[guarded]`, in place of pyo3's `#[pymethods]` and `#[pyfunction]`.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use quote::quote;
use syn::{Block, ImplItem, Item, ReturnType, Signature, Type, parse_macro_input, parse_quote};

/// Makes methods those of a Python class, or a function one of the module, and passes each through `guard`, so that a panic
/// comes out as the library's own exception. A method that answers no `PyResult` gets one around its answer.
///
/// `__traverse__` and `__clear__` stay as they are: the garbage collector calls them and takes no exception.
#[proc_macro_attribute]
pub fn guarded(_: TokenStream, item: TokenStream) -> TokenStream {
    let item = match parse_macro_input!(item as Item) {
        Item::Impl(mut methods) => {
            for item in &mut methods.items {
                if let ImplItem::Fn(method) = item
                    && method.sig.ident != "__traverse__"
                    && method.sig.ident != "__clear__"
                {
                    guard(&mut method.sig, &mut method.block);
                }
            }
            quote!(#[::pyo3::pymethods] #methods)
        }
        Item::Fn(mut function) => {
            guard(&mut function.sig, &mut function.block);
            quote!(#[::pyo3::pyfunction] #function)
        }
        other => {
            syn::Error::new_spanned(other, "`#[guarded]` stands at an impl or a function").to_compile_error()
        }
    };
    item.into()
}

fn guard(signature: &mut Signature, block: &mut Block) {
    if can_fail(&signature.output) {
        *block = parse_quote!({ crate::guard::guard(move || #block) });
        return;
    }
    let answer: Type = match &signature.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, answer) => (**answer).clone(),
    };
    signature.output = parse_quote!(-> ::pyo3::PyResult<#answer>);
    *block = parse_quote!({ crate::guard::guard_plain(move || #block) });
}

/// By the name of the type, as macros see no more: `PyResult`, or `Coroutine`, which is one.
fn can_fail(output: &ReturnType) -> bool {
    let ReturnType::Type(_, answer) = output else { return false };
    let Type::Path(path) = &**answer else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "PyResult" || last.ident == "Coroutine")
}
