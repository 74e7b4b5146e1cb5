// Package garbage bounds how much garbage lies about in a process whose heap is mostly one big cache.
//
// Go collects garbage when the heap has grown to twice what was held after the last collection (https://go.dev/doc/gc-guide), so a process
// that holds a million sessions takes the room of two million. That suits programs that make garbage all the time. Here only questions
// to the session service do, and sessions that are woken after a while: what is served from the cache makes none. So garbage may be as much as
// what is held, but no more than 64 MiB, or an eighth of what is held where that is more.
//
// The price is collections: up to eight times as many for the same garbage, each of which costs as much as before. With a million sessions, a
// question costs a fifth more CPU time, and a hit of a session in use nothing.
package garbage
