// Package hostile makes requests that servers read differently, and compares how they were read. It is for tests: a gateway is safe in
// front of any server only if it refuses whatever two servers could take for two different things.
//
// [Connection] writes what one client sends. A [Recorder] is the application behind each server, and notes what reaches it. [Check] says
// whether a gateway let something pass that others read differently.
package hostile
