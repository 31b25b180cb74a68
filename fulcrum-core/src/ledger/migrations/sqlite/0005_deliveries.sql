-- How far each delivery of events to a host has come: up to this sequence number all were taken.
CREATE TABLE deliveries (
    name     TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT;
