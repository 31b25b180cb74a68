//! Operating systems by the words of os-release(5): `ID-VERSION_ID`, such as `debian-13`.

/// An operating system of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct System<'a> {
    /// `ID`, such as `debian`.
    pub(in crate::provider) id: &'a str,
    /// `VERSION_ID`, such as `13` or `24.04`.
    pub(in crate::provider) version: &'a str,
}

/// Code names of versions, which providers use in names of images.
const CODE_NAMES: [(&str, &str, &str); 8] = [
    ("debian", "11", "bullseye"),
    ("debian", "12", "bookworm"),
    ("debian", "13", "trixie"),
    ("debian", "14", "forky"),
    ("ubuntu", "20.04", "focal"),
    ("ubuntu", "22.04", "jammy"),
    ("ubuntu", "24.04", "noble"),
    ("ubuntu", "26.04", "resolute"),
];

/// Names for people, as providers write them in titles.
const TITLES: [(&str, &str); 7] = [
    ("almalinux", "AlmaLinux"),
    ("centos", "CentOS Stream"),
    ("debian", "Debian"),
    ("fedora", "Fedora"),
    ("opensuse-leap", "openSUSE Leap"),
    ("rocky", "Rocky Linux"),
    ("ubuntu", "Ubuntu"),
];

impl<'a> System<'a> {
    /// A text of the form `ID-VERSION_ID`; none for any other, such as a provider's own name of an image.
    pub(in crate::provider) fn parse(text: &'a str) -> Option<Self> {
        let (id, version) = text.rsplit_once('-')?;
        let is_id = id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        let is_version = version.starts_with(|c: char| c.is_ascii_digit())
            && version.ends_with(|c: char| c.is_ascii_digit())
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        (is_id && is_version && text.len() <= 64).then_some(Self { id, version })
    }

    /// The version's code name, such as `trixie`.
    pub(in crate::provider) fn code_name(self) -> Option<&'static str> {
        let found = CODE_NAMES.iter().find(|(id, version, _)| (self.id, self.version) == (*id, *version));
        found.map(|(_, _, name)| *name)
    }

    /// The name for people, such as `Debian`.
    pub(in crate::provider) fn title(self) -> Option<&'static str> {
        TITLES.iter().find(|(id, _)| *id == self.id).map(|(_, title)| *title)
    }

    /// Whether a title such as `Debian GNU/Linux 13 (Trixie)` or `Linux Ubuntu 24.04 LTS 64-bit` is of this system, and of
    /// nothing more: a title with any other word is of an image with something on it.
    pub(in crate::provider) fn is_titled(self, title: &str) -> bool {
        let Some(name) = self.title() else { return false };
        let Some(rest) = title.strip_prefix("Linux ").unwrap_or(title).strip_prefix(name) else {
            return false;
        };
        let Some(rest) = rest.strip_prefix(' ') else { return false };
        let rest = rest.strip_prefix("GNU/Linux ").or_else(|| rest.strip_prefix("Server ")).unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(self.version) else { return false };
        let mut rest = rest.strip_prefix(" LTS").unwrap_or(rest);
        if let Some((words, after)) = rest.strip_prefix(" (").and_then(|rest| rest.split_once(')')) {
            let is_name = self.code_name().is_some_and(|name| words.to_ascii_lowercase().starts_with(name));
            if !is_name {
                return false;
            }
            rest = after;
        }
        matches!(rest, "" | " 64-bit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_an_id_and_a_version() {
        let read = |text| System::parse(text).map(|it| (it.id, it.version));
        assert_eq!(read("debian-13"), Some(("debian", "13")));
        assert_eq!(read("opensuse-leap-15.6"), Some(("opensuse-leap", "15.6")));
        for own in [
            "debian",
            "debian-",
            "Debian-13",
            "-13",
            "ami-0a1b",
            "debian-13-x",
            "debian_trixie",
            "12345",
            "x-1.",
        ] {
            assert_eq!(read(own), None, "{own}");
        }
        assert_eq!(System::parse("ubuntu-24.04").and_then(System::code_name), Some("noble"));
    }

    #[test]
    fn a_title_is_of_one_version() {
        let is = |text, title| System::parse(text).expect("a system").is_titled(title);
        assert!(is("debian-13", "Debian GNU/Linux 13 (Trixie)"));
        assert!(is("debian-13", "Linux Debian 13 (Trixie) 64-bit"));
        assert!(is("ubuntu-24.04", "Ubuntu Server 24.04 LTS (Noble Numbat)"));
        assert!(is("rocky-9", "Rocky Linux 9") && is("ubuntu-24.04", "Linux Ubuntu 24.04 LTS 64-bit"));
        for (text, title) in [
            ("debian-1", "Debian GNU/Linux 13 (Trixie)"),
            ("debian-13", "Debian GNU/Linux 12 (Bookworm)"),
            ("debian-13", "MyDebian 13"),
            ("ubuntu-24.04", "Ubuntu Server 22.04 LTS"),
            ("ubuntu-24.04", "Ubuntu Server 24.04 LTS (with NVIDIA drivers & CUDA)"),
            ("ubuntu-24.04", "Docker on Ubuntu 24.04"),
            ("ubuntu-24.04", "Ubuntu 24.04 LTS Minimal"),
            ("ubuntu-24.04", "Ubuntu 24.04.1"),
            ("windows-2022", "Windows Server 2022"),
        ] {
            assert!(!is(text, title), "{text}: {title}");
        }
    }
}
