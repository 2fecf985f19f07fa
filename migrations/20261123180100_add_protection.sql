-- What keeps a stream from being opened in haste, and the emergency stop.

alter table streams
    -- In the format of stream documents; absent where nothing is set. As text, so that what was written is what is read.
    add column protection json,
    -- Seconds since 1970.
    add column stopped_since bigint,
    add column stopped_because text,
    add constraint streams_stop_whole check ((stopped_since is null) = (stopped_because is null)),
    add constraint streams_stop_because_given check (btrim(stopped_because) <> '' and octet_length(stopped_because) <= 4096);
