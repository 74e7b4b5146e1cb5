// Package garbage bounds how much garbage lies about in a process whose heap is mostly one big cache.
//
// Go collects garbage when the heap has grown to twice what was held after the last collection (https://go.dev/doc/gc-guide), so a process
// that holds a million sessions takes the room of two million, and one that holds little and is asked about many new ones collects all the time.
// That suits programs whose garbage goes with what they hold. Here only questions to the session service make any, and sessions that are
// woken after a while: what is served from the cache makes none. So garbage may be as much as what is held, or as is made in two seconds, but no
// more than 64 MiB, or an eighth of what is held where that is more.
//
// The price is collections where much is held: up to eight times as many for the same garbage, each of which costs as much as before. With a
// million sessions, a question costs a fifth more CPU time, and a hit of a session in use nothing.
package garbage
