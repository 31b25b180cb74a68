//! Offers, events, tasks, archives and errors' circumstances, as a hostile host asks for them.

use super::*;

/// What a search or a drive may take before the input goes on; tasks are freed while they run, too.
const PATIENCE_MS: u64 = 20;

impl Pool<'_> {
    pub(super) fn offers(&mut self) {
        let (federation, query) =
            (self.federation(), if self.draw.chance(128) { self.text() } else { Vec::new() });
        let (at, length) = lent(&query);
        // SAFETY: all pointers live until the call returns.
        let offers = self
            .got(|out, error| unsafe { fulcrum_federation_offers(federation, at, length, out, error) })
            .unwrap_or(null_mut());
        let index = usize::from(self.draw.byte() % 8);
        let mut room = self.room::<fulcrum_offer>();
        // SAFETY: NULL or live, and memory of the size that stands in it; freed once.
        unsafe {
            if self.made(|error| fulcrum_offers_read(offers, index, room.at(), error)) {
                assert!(index < fulcrum_offers_count(offers));
                let told = room.read();
                [told.id, told.provider, told.sku, told.kind, told.region, told.zone, told.country]
                    .into_iter()
                    .chain([told.purchase_option, told.currency, told.monthly.text, told.once.text])
                    .chain([told.observed, told.source])
                    .for_each(read_text);
            }
            let json = self.got(|out, error| fulcrum_offers_json(offers, out, error));
            self.keep_text(json);
            let digest = self.got(|out, error| fulcrum_offers_catalogue_digest(offers, out, error));
            self.keep_text(digest);
            fulcrum_offers_free(offers);
        }
        // SAFETY: NULL or live.
        let rows =
            self.got(|out, error| unsafe { fulcrum_federation_quarantined_json(federation, out, error) });
        self.keep_text(rows);
    }

    /// Writes an order down, and follows, drives or leaves it.
    pub(super) fn accept(&mut self) {
        let (federation, plan, policy) = (self.federation(), self.plan(), self.policy());
        let (id, approved) = (self.id_for_new(), self.text());
        let (at, length) = lent(&policy);
        let options = self.options(&id, &approved);
        let options = options.as_ref().map_or(null(), std::ptr::from_ref);
        // SAFETY: all pointers live until the call returns.
        let order = self.got(|out, error| unsafe {
            fulcrum_federation_accept(federation, plan, at, length, options, out, error)
        });
        self.keep_order(order);
        let ((id, id_length), (at, length)) = (lent(&id), lent(&policy));
        // SAFETY: all pointers live until the call returns.
        let order = self.got(|out, error| unsafe {
            fulcrum_federation_accept_as(federation, id, id_length, plan, at, length, out, error)
        });
        self.keep_order(order);
        let id = if self.draw.chance(32) { self.text() } else { self.known_id() };
        let (at, length) = lent(&id);
        // SAFETY: all pointers live until the call returns; the events are freed once.
        unsafe {
            let events = self
                .got(|out, error| fulcrum_federation_follow(federation, at, length, out, error))
                .unwrap_or(null_mut());
            let mut room = self.room::<fulcrum_event>();
            if self.made(|error| fulcrum_events_next(events, PATIENCE_MS, room.at(), error)) {
                let told = room.read();
                [told.at, told.kind, told.subject, told.text, told.json].into_iter().for_each(read_text);
            }
            let mut json = null_mut();
            self.made(|error| fulcrum_events_next_json(events, 0, &raw mut json, error));
            self.keep_text((!json.is_null()).then_some(json));
            assert_eq!(fulcrum_events_fd(events) < 0, events.is_null());
            fulcrum_events_has_ended(events);
            if self.draw.chance(64) {
                let driven =
                    self.got(|out, error| fulcrum_federation_drive(federation, at, length, out, error));
                self.keep_order(driven);
            }
            fulcrum_events_free(events);
        }
    }

    /// Begins a call in the background, and asks for its answer, cancels it, or lets it go.
    pub(super) fn tasks(&mut self) {
        let (federation, text, id) = (self.federation(), self.text(), self.known_id());
        let ((at, length), (id, id_length), plan) = (lent(&text), lent(&id), self.plan());
        let kind = self.draw.below(7);
        // SAFETY: all pointers live until the call returns.
        let task = self.got(|out, error| unsafe {
            match kind {
                0 => fulcrum_federation_refresh_start(federation, out, error),
                1 => fulcrum_federation_compose_start(federation, at, length, null(), out, error),
                2 => fulcrum_federation_explain_start(federation, at, length, plan, null(), out, error),
                3 => fulcrum_federation_drive_start(federation, id, id_length, out, error),
                4 => fulcrum_federation_cancel_start(federation, id, id_length, out, error),
                5 => fulcrum_federation_operate_start(federation, id, id_length, at, length, out, error),
                _ => fulcrum_federation_resume_start(federation, out, error),
            }
        });
        let task = task.unwrap_or(null_mut());
        // SAFETY: NULL or live; freed once.
        unsafe {
            if self.draw.chance(128) {
                fulcrum_task_wait(task, PATIENCE_MS);
            }
            let mut room = self.room::<fulcrum_progress>();
            self.made(|error| fulcrum_task_read_progress(task, room.at(), error));
            assert_eq!(fulcrum_task_fd(task) < 0, task.is_null());
            if self.draw.chance(64) {
                fulcrum_task_cancel(task);
            }
            if fulcrum_task_is_done(task) || self.draw.chance(32) {
                match self.draw.below(5) {
                    0 => {
                        let plan = self.got(|out, error| fulcrum_task_take_plan(task, out, error));
                        self.keep_plan(plan);
                    }
                    1 | 2 => {
                        let order = self.got(|out, error| fulcrum_task_take_order(task, out, error));
                        self.keep_order(order);
                    }
                    3 => {
                        let text = self.got(|out, error| fulcrum_task_take_text(task, out, error));
                        self.keep_text(text);
                    }
                    _ => {
                        let list = self.got(|out, error| fulcrum_task_take_orders(task, out, error));
                        self.lists.extend(list);
                        self.made(|error| fulcrum_task_result(task, error));
                    }
                }
            }
            fulcrum_task_free(task);
        }
    }

    pub(super) fn archive(&mut self) {
        let (federation, id, text) = (self.federation(), self.known_id(), self.text());
        let ((id, id_length), (at, length)) = (lent(&id), lent(&text));
        // SAFETY: all pointers live until the call returns.
        unsafe {
            let archive =
                self.got(|out, error| fulcrum_federation_export_json(federation, id, id_length, out, error));
            if let Some(archive) = archive {
                let (data, length) = (fulcrum_text_data(archive), fulcrum_text_length(archive));
                assert!(self.made(|error| fulcrum_archive_verify(data, length, error)), "it proves itself");
            }
            self.keep_text(archive);
            self.made(|error| fulcrum_archive_verify(at, length, error));
            let mut count = 7;
            if !self.made(|error| fulcrum_federation_purge(federation, at, length, &raw mut count, error)) {
                assert_eq!(count, 0);
            }
        }
    }

    /// The circumstances of whatever a composition of any text comes to.
    pub(super) fn circumstances(&mut self) {
        let (federation, text) = (self.federation(), self.text());
        let (at, length) = lent(&text);
        let (mut plan, mut error) = (null_mut(), null_mut());
        // SAFETY: all pointers live until the call returns; plan and error are NULL or freed once.
        unsafe {
            fulcrum_federation_compose(federation, at, length, null(), &raw mut plan, &raw mut error);
            let mut room = self.room::<fulcrum_error_details>();
            if self.made(|other| fulcrum_error_read(error, room.at(), other)) {
                let told = room.read();
                [told.provider, told.call, told.request_id, told.hint].into_iter().for_each(read_text);
                assert_eq!(fulcrum_error_condition(error, told.condition_count), null());
                for index in 0..told.condition_count {
                    read_text(fulcrum_error_condition(error, index));
                }
                let mut way = self.room::<fulcrum_way_out>();
                if self.made(|other| fulcrum_error_read_way_out(error, 0, way.at(), other)) {
                    read_text(way.read().condition);
                    read_text(way.read().objective.text);
                }
            }
            let json = self.got(|out, other| fulcrum_error_json(error, out, other));
            self.keep_text(json);
            fulcrum_error_free(error);
            fulcrum_plan_free(plan);
            let told = self.got(|out, other| fulcrum_metrics_text(out, other));
            self.keep_text(told);
        }
    }
}
