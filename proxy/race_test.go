//go:build race

package proxy_test

// raceEnabled says that the race detector is on. It allocates on its own account and drops pooled objects at random.
const raceEnabled = true
