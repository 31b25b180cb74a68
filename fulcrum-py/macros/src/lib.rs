//! `#[guarded]`, in place of pyo3's `#[pymethods]` and `#[pyfunction]`, and `#[documented]` for classes.
#![forbid(unsafe_code)]

mod stub;

use proc_macro::TokenStream;
use quote::quote;
use syn::{Attribute, Block, ImplItem, Item, ReturnType, Signature, Type, parse_macro_input, parse_quote};

/// Makes methods those of a Python class, or a function one of the module, and passes each through `guard`, so that a panic
/// comes out as the library's own exception. A method that answers no `PyResult` gets one around its answer. Each has the
/// docstring of the stub.
///
/// `__traverse__` and `__clear__` stay as they are: the garbage collector calls them and takes no exception.
#[proc_macro_attribute]
pub fn guarded(_: TokenStream, item: TokenStream) -> TokenStream {
    let item = match parse_macro_input!(item as Item) {
        Item::Impl(mut methods) => {
            let class = name_of_type(&methods.self_ty);
            for item in &mut methods.items {
                if let ImplItem::Fn(method) = item
                    && method.sig.ident != "__traverse__"
                    && method.sig.ident != "__clear__"
                {
                    document(&mut method.attrs, &class, Some(&method.sig.ident.to_string()));
                    guard(&mut method.sig, &mut method.block);
                }
            }
            quote!(#[::pyo3::pymethods] #methods)
        }
        Item::Fn(mut function) => {
            document(&mut function.attrs, "", Some(&function.sig.ident.to_string()));
            guard(&mut function.sig, &mut function.block);
            quote!(#[::pyo3::pyfunction] #function)
        }
        other => {
            syn::Error::new_spanned(other, "`#[guarded]` stands at an impl or a function").to_compile_error()
        }
    };
    item.into()
}

/// Gives a Python class the docstring of the stub; stands above `#[pyclass]`. What the macro has read is a dependency of the
/// crate.
#[proc_macro_attribute]
pub fn documented(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut class = parse_macro_input!(item as syn::ItemStruct);
    let name = class.ident.to_string();
    document(&mut class.attrs, &name, None);
    let path = format!("/{}", stub::PATH);
    quote! {
        #class
        const _: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), #path));
    }
    .into()
}

/// Replaces the comment of a Rust reader by the docstring of a Python one, if the stub has one.
fn document(attributes: &mut Vec<Attribute>, class: &str, function: Option<&str>) {
    match stub::docstring(class, function) {
        Ok(Some(docstring)) => {
            attributes.retain(|attribute| !attribute.path().is_ident("doc"));
            attributes.push(parse_quote!(#[doc = #docstring]));
        }
        Ok(None) => {}
        Err(error) => attributes.push(parse_quote!(#[doc = compile_error!(#error)])),
    }
}

fn name_of_type(it: &Type) -> String {
    let Type::Path(path) = it else { return String::new() };
    path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
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
