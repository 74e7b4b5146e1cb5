package config

// What the tests of the package need to see.
var (
	Keys        = keys
	Variable    = variable
	Text        = text
	ServiceLink = serviceLink
)

// Covers is [Match.covers].
func (m Match) Covers(n Match) bool { return m.covers(&n) }
