// Package postgres hears from the database of Ory Kratos which sessions have ended. Kratos has no webhook for that
// (https://github.com/ory/kratos/issues/2771), but every way a session ends is a change of two tables, and a trigger on them notifies whoever
// listens: deploy/kratos/revocations.up.sql.
//
// A [Listener] promises that what it has not heard is not believed for long:
//
//   - Whenever it begins to listen, also after a connection was lost, everything that was answered before is asked again.
//   - While it cannot be sure to hear, it says so ([Cache.Degrade]). It is sure only while notifications of its own come back to it, which
//     it tries every few seconds: a connection pooler, a replica, or a connection that is dead without a word does not go unnoticed.
//   - A notification that it does not understand ends everything, rather than nothing.
package postgres
