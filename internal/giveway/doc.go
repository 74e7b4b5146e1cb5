// Package giveway lets long work give way to short work that the network brings.
//
// The scheduler of Go looks at the network when a processor has nothing else to run, and else every 10 ms (findRunnable and sysmon in
// runtime/proc.go). What takes 9 µs then waits for all that can run, and that may be long: after a restart, when every session is asked for,
// dozens of answers of the session service are at hand at any time, each of which is work of 50 µs. The scheduler knows no priorities.
// But whoever waits for the network himself lets it look there.
//
// The price is that long work waits where there is short work without end: it has a twentieth of the processor then.
package giveway
