-- Undoes revocations.up.sql. Remove upstream.kratos.revocations from the configuration of every Gatehouse first.

begin;

drop trigger if exists gatehouse_session_updated on sessions;
drop trigger if exists gatehouse_session_deleted on sessions;
drop trigger if exists gatehouse_sessions_truncated on sessions;
drop trigger if exists gatehouse_identity_updated on identities;
drop trigger if exists gatehouse_identity_deleted on identities;
drop function if exists gatehouse_session_ended();
drop function if exists gatehouse_identity_changed();
drop function if exists gatehouse_all_ended();

commit;
