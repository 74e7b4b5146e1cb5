//go:build !race

package sessioncache_test

const raceEnabled = false
