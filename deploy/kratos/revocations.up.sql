-- Tells Gatehouse when a session of Ory Kratos ends, in the transaction that ends it, whatever ended it: a logout, the admin API, a hook, an
-- identity that was disabled, changed or deleted. Run it in Kratos' database as the owner of its tables:
--
--     psql "$KRATOS_DSN" -v ON_ERROR_STOP=1 -f revocations.up.sql
--
-- It may be run again, and revocations.down.sql undoes it. Kratos' tables are not changed. A notification holds an id and never a token.
-- Gatehouse itself needs nothing but the right to connect to the database.

begin;

create or replace function gatehouse_session_ended() returns trigger language plpgsql as $$
begin
	-- A session that had ended already tells nothing new, and cleaning up many of them would only make noise.
	if old.active and old.expires_at > (now() at time zone 'utc') then
		perform pg_notify('gatehouse_revocations', 'session ' || old.id);
	end if;
	return null;
end
$$;

create or replace function gatehouse_identity_changed() returns trigger language plpgsql as $$
begin
	perform pg_notify('gatehouse_revocations', 'identity ' || old.id);
	return null;
end
$$;

create or replace function gatehouse_all_ended() returns trigger language plpgsql as $$
begin
	perform pg_notify('gatehouse_revocations', 'all');
	return null;
end
$$;

drop trigger if exists gatehouse_session_updated on sessions;
create trigger gatehouse_session_updated after update on sessions for each row
	when (old.active and not new.active or new.expires_at < old.expires_at
		or new.aal is distinct from old.aal or new.identity_id is distinct from old.identity_id)
	execute function gatehouse_session_ended();

drop trigger if exists gatehouse_session_deleted on sessions;
create trigger gatehouse_session_deleted after delete on sessions for each row
	execute function gatehouse_session_ended();

drop trigger if exists gatehouse_sessions_truncated on sessions;
create trigger gatehouse_sessions_truncated after truncate on sessions for each statement
	execute function gatehouse_all_ended();

drop trigger if exists gatehouse_identity_updated on identities;
create trigger gatehouse_identity_updated after update on identities for each row
	when (new.state is distinct from old.state or new.traits is distinct from old.traits
		or new.metadata_public is distinct from old.metadata_public or new.schema_id is distinct from old.schema_id)
	execute function gatehouse_identity_changed();

drop trigger if exists gatehouse_identity_deleted on identities;
create trigger gatehouse_identity_deleted after delete on identities for each row
	execute function gatehouse_identity_changed();

commit;
