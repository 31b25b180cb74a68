//! The durable memory of purchases: orders, steps, services and events.
