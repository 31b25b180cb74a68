//! Sharing: which components may stand on one machine.

use std::collections::HashMap;

use super::{Blueprint, ComponentId, Constraint, OfferKind, Share};

/// The pairs of components that may share a machine. `share` says so; `colocate`, `everywhere` and a running service with
/// several components imply it for theirs. What may stand beside one of several that are always together may stand beside all.
#[derive(Debug)]
pub(crate) struct Sharing<'b> {
    is_open: bool,
    /// The machine components by their number.
    numbers: HashMap<&'b ComponentId, usize>,
    /// For each number a bit for each number that it may share with.
    rows: Vec<Vec<u64>>,
}

/// Whether a bit is set, among words of 64.
fn has(row: &[u64], at: usize) -> bool {
    row[at / 64] >> (at % 64) & 1 == 1
}

fn set(row: &mut [u64], at: usize) {
    row[at / 64] |= 1 << (at % 64);
}

fn unite(row: &mut [u64], with: &[u64]) {
    row.iter_mut().zip(with).for_each(|(word, more)| *word |= more);
}

impl<'b> Sharing<'b> {
    pub(crate) fn of(blueprint: &'b Blueprint) -> Self {
        let numbers: HashMap<_, _> = blueprint.machines().zip(0..).collect();
        let words = numbers.len().div_ceil(64);
        let mut sharing = Self { is_open: false, rows: vec![vec![0; words]; numbers.len()], numbers };
        let mut together: Vec<Vec<usize>> = Vec::new();
        for constraint in &blueprint.constraints {
            match constraint {
                Constraint::Share(Share::All) => sharing.is_open = true,
                Constraint::Share(Share::Among(components)) => drop(sharing.permit(components.iter())),
                Constraint::Affinity(affinity) => together.push(sharing.permit(affinity.components.iter())),
                Constraint::FullDeployment(everywhere) => {
                    let Some(&one) = sharing.numbers.get(&everywhere.component) else { continue };
                    let unless = sharing.mask(everywhere.unless.iter());
                    for other in (0..sharing.rows.len()).filter(|other| !has(&unless, *other)) {
                        set(&mut sharing.rows[one], other);
                        set(&mut sharing.rows[other], one);
                    }
                }
                _ => {}
            }
        }
        for service in &blueprint.running.services {
            sharing.permit(service.replicas.keys());
        }
        sharing.close(&together);
        sharing
    }

    fn mask(&self, components: impl Iterator<Item = &'b ComponentId>) -> Vec<u64> {
        let mut mask = vec![0; self.numbers.len().div_ceil(64)];
        for at in components.filter_map(|name| self.numbers.get(name)) {
            set(&mut mask, *at);
        }
        mask
    }

    /// Permits these to share with each other; answers with their numbers.
    fn permit(&mut self, components: impl Iterator<Item = &'b ComponentId>) -> Vec<usize> {
        let mask = self.mask(components);
        let members: Vec<usize> = (0..self.rows.len()).filter(|at| has(&mask, *at)).collect();
        members.iter().for_each(|at| unite(&mut self.rows[*at], &mask));
        members
    }

    /// Gives all that are always together what one of them has.
    fn close(&mut self, together: &[Vec<usize>]) {
        let mut group: Vec<usize> = (0..self.rows.len()).collect();
        let root = |group: &[usize], mut at: usize| {
            while group[at] != at {
                at = group[at];
            }
            at
        };
        for members in together {
            for pair in members.windows(2) {
                let (one, other) = (root(&group, pair[0]), root(&group, pair[1]));
                group[one.max(other)] = one.min(other);
            }
        }
        let roots: Vec<usize> = (0..self.rows.len()).map(|at| root(&group, at)).collect();
        // What each group may share with, as groups; then as their members.
        let words = self.numbers.len().div_ceil(64);
        let mut members = vec![vec![0; words]; self.rows.len()];
        roots.iter().enumerate().for_each(|(at, root)| set(&mut members[*root], at));
        let mut closed = members.clone();
        for (at, root) in roots.iter().enumerate() {
            for other in (0..self.rows.len()).filter(|other| has(&self.rows[at], *other)) {
                let beside = members[roots[other]].clone();
                unite(&mut closed[*root], &beside);
            }
        }
        self.rows = roots.iter().map(|root| closed[*root].clone()).collect();
    }

    /// Whether two may share a machine. What is not a machine shares none anyway.
    pub(crate) fn is_permitted(&self, one: &ComponentId, other: &ComponentId) -> bool {
        let both = self.numbers.get(one).zip(self.numbers.get(other));
        self.is_open || one == other || both.is_none_or(|(one, other)| has(&self.rows[*one], *other))
    }

    /// Lists of components that may share with each other; together they permit what is permitted.
    pub(crate) fn lists(&self) -> Vec<Vec<ComponentId>> {
        let mut names: Vec<(usize, &ComponentId)> =
            self.numbers.iter().map(|(name, number)| (*number, *name)).collect();
        names.sort_unstable_by_key(|(number, _)| *number);
        let words = names.len().div_ceil(64);
        let mut listed = vec![vec![0; words]; names.len()];
        let mut lists = Vec::new();
        for one in 0..names.len() {
            for other in (0..one).filter(|other| has(&self.rows[one], *other)) {
                if has(&listed[one], other) {
                    continue;
                }
                // As many more as may share with all that are on the list.
                let mut list = vec![one, other];
                let mut beside: Vec<u64> =
                    self.rows[one].iter().zip(&self.rows[other]).map(|(a, b)| a & b).collect();
                for more in 0..names.len() {
                    if !list.contains(&more) && has(&beside, more) {
                        list.push(more);
                        beside.iter_mut().zip(&self.rows[more]).for_each(|(word, row)| *word &= row);
                    }
                }
                let mut mask = vec![0; words];
                list.iter().for_each(|at| set(&mut mask, *at));
                list.iter().for_each(|at| unite(&mut listed[*at], &mask));
                list.sort_unstable();
                lists.push(list.into_iter().map(|at| names[at].1.clone()).collect());
            }
        }
        lists
    }

    /// Whether there are components that may not share a machine.
    pub(crate) fn is_restricted(&self) -> bool {
        let all =
            |(at, row): (usize, &Vec<u64>)| (0..self.rows.len()).all(|other| at == other || has(row, other));
        !self.is_open && !self.rows.iter().enumerate().all(all)
    }
}

impl Blueprint {
    /// The components that run on machines.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &ComponentId> {
        let is_machine =
            |(_, component): &(&ComponentId, &super::Component)| component.kind == OfferKind::Machine;
        self.components.iter().filter(is_machine).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted_of(blueprint: &Blueprint) -> Vec<String> {
        let sharing = Sharing::of(blueprint);
        let names: Vec<_> = blueprint.machines().collect();
        let pairs = names.iter().flat_map(|one| names.iter().map(move |other| (*one, *other)));
        let pairs = pairs.filter(|(one, other)| one < other && sharing.is_permitted(one, other));
        let pairs: Vec<String> = pairs.map(|(one, other)| format!("{one}{other}")).collect();
        let all = names.len() * (names.len() - 1) / 2;
        assert_eq!(sharing.is_restricted(), pairs.len() < all, "{blueprint:?}");
        if !sharing.is_open {
            let lists = sharing.lists();
            let is_listed = |one: &ComponentId, other: &ComponentId| {
                lists.iter().any(|list| list.contains(one) && list.contains(other))
            };
            let all = names.iter().flat_map(|one| names.iter().map(move |other| (*one, *other)));
            let listed = all.filter(|(one, other)| one < other && is_listed(one, other));
            let listed: Vec<String> = listed.map(|(one, other)| format!("{one}{other}")).collect();
            assert_eq!(listed, pairs, "{blueprint:?}");
        }
        pairs
    }

    fn permitted(constraints: &str) -> Vec<String> {
        let text = format!(
            "{{ name: n, components: {{ a: {{}}, b: {{}}, c: {{}}, d: {{ kind: database }} }}, constraints: [{constraints}] }}"
        );
        permitted_of(&Blueprint::from_yaml(&text).expect("a blueprint"))
    }

    #[test]
    fn components_share_machines_only_where_it_is_permitted() {
        assert_eq!(permitted(""), [""; 0]);
        assert_eq!(permitted("share: [a, c]"), ["ac"]);
        assert_eq!(permitted("share: [a, b], share: [b, c]"), ["ab", "bc"]);
        assert_eq!(permitted("share: all"), ["ab", "ac", "bc"]);
        assert_eq!(permitted("colocate: { components: [b, c] }"), ["bc"]);
        assert_eq!(permitted("everywhere: { component: b, unless: [c] }"), ["ab"]);
    }

    #[test]
    fn what_is_always_together_is_beside_whatever_one_of_them_may_be_beside() {
        let chain = "colocate: { components: [a, b] }, colocate: { components: [b, c] }";
        assert_eq!(permitted(chain), ["ab", "ac", "bc"]);
        let agent = "everywhere: { component: a, unless: [b] }, colocate: { components: [a, b] }";
        assert_eq!(permitted(agent), ["ab", "ac", "bc"]);
        assert_eq!(permitted("colocate: { components: [a, b] }, share: [b, c]"), ["ab", "ac", "bc"]);
    }

    #[test]
    fn what_runs_together_may_stay_together_and_only_machines_count() {
        let text = |beside: &str, kind: &str| {
            format!(
                "{{ name: n, components: {{ a: {{}}, b: {{}}, d: {{ {kind} }} }},
                   running: {{ services: [ {{ id: x, offer: p/r/s, replicas: {{ a: 1, {beside}: 1 }} }} ] }} }}"
            )
        };
        let of = |beside: &str, kind: &str| {
            permitted_of(&Blueprint::from_yaml(&text(beside, kind)).expect("a blueprint"))
        };
        assert_eq!(of("d", ""), ["ad"]);
        assert_eq!(of("d", "kind: database"), [""; 0]);
    }

    #[test]
    fn many_lists_of_many_take_no_time() {
        let names: Vec<String> = (0..500).map(|at| format!("c{at}")).collect();
        let components: serde_json::Map<_, _> =
            names.iter().map(|name| (name.clone(), serde_json::json!({}))).collect();
        let share = serde_json::json!({ "share": names });
        let document =
            serde_json::json!({ "name": "n", "components": components, "constraints": vec![share; 200] });
        let blueprint: Blueprint = serde_json::from_value(document).expect("a blueprint");
        let begin = std::time::Instant::now();
        assert!(!Sharing::of(&blueprint).is_restricted());
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_share_that_says_nothing_is_refused() {
        for (share, words) in [
            ("[a]", "at least two"),
            ("[a, a]", "named twice"),
            ("[a, x]", "`x`"),
            ("[a, d]", "not a machine"),
            ("none", "all, or a list"),
        ] {
            let text = format!(
                "{{ name: n, components: {{ a: {{}}, d: {{ kind: database }} }}, constraints: [share: {share}] }}"
            );
            let why = Blueprint::from_yaml(&text).expect_err(share).to_string();
            assert!(why.contains(words), "{share}: {why}");
        }
    }
}
