package sessionapi

import "strings"

// A Table is the API of one session service: its paths, and what calls to them may change. The zero Table has no path.
type Table []call

// A call is one kind of call. The first of a Table that fits a request counts.
type call struct {
	methods string // with blanks between them; empty for all
	path    string // {…} stands for one segment, and /* at the end for everything below
	effect  effect
	field   string // of the body, JSON, that holds the session token; for byToken
}

// An effect is what a call may change if it succeeds.
type effect uint8

const (
	nothing    effect = iota // it only reads
	bySession                // the sessions of all credentials that it presents
	byIdentity               // all sessions of whoever presents them, and of whoever it signs in
	byPeer                   // likewise, and it succeeds for somebody with a session only
	byID                     // the session that the last segment of its path names
	byToken                  // the session of the token in its body, and those of bySession
)

const read = "GET HEAD"

// Kratos returns the API of Ory Kratos: its sessions and logout, its self-service flows, or both.
//
// A browser ends some flows with a GET, such as those that lead to another site and back, so that only those are taken to read that are
// known to. https://www.ory.com/docs/kratos/reference/api
func Kratos(sessions, selfService bool) (t Table) {
	if sessions {
		t = append(t,
			call{methods: read, path: "/sessions"},
			call{methods: "DELETE", path: "/sessions", effect: byPeer},
			call{path: "/sessions", effect: byIdentity},
			call{methods: read, path: "/sessions/whoami"}, // where whoami.path is another
			call{methods: "DELETE", path: "/sessions/{id}", effect: byID},
			call{path: "/sessions/{id}", effect: bySession},
		)
	}
	if sessions || selfService {
		t = append(t,
			call{path: "/self-service/logout/api", effect: byToken, field: "session_token"},
			call{methods: read, path: "/self-service/logout/browser"},
			call{path: "/self-service/logout/browser", effect: bySession},
			call{path: "/self-service/logout", effect: bySession},
		)
	}
	if selfService {
		t = append(t,
			call{methods: read, path: "/self-service/{flow}/browser"},
			call{methods: read, path: "/self-service/{flow}/api"},
			call{methods: read, path: "/self-service/{flow}/flows"},
			call{methods: read, path: "/self-service/errors"},
			call{path: "/self-service/settings", effect: byPeer},
			call{path: "/self-service/*", effect: byIdentity},
			call{path: "/.well-known/ory/*"},
		)
	}
	return t
}

// Wacht returns what is below /session in the Frontend API of Wacht. A ticket is exchanged by a GET.
//
// https://wacht.dev/docs
func Wacht() Table {
	return Table{
		{methods: read, path: "/session"},
		{methods: read, path: "/session/token"},
		{path: "/session", effect: bySession},
		{path: "/session/*", effect: bySession},
	}
}

// Crossid returns the revocation of sessions of Crossid.
//
// https://github.com/crossid/crossid-client-go
func Crossid() Table {
	return Table{{path: "/api/v1/auth/sessions/revoke", effect: byToken, field: "sessionToken"}}
}

// BetterAuth returns the calls of Better Auth that list and end sessions, below base. A session is named there by a token that stands in no
// other credential as it is, but is always one of the caller's own.
//
// https://www.better-auth.com/docs/concepts/session-management
func BetterAuth(base string) Table {
	return Table{
		{methods: read, path: base + "/list-sessions"},
		{path: base + "/list-sessions", effect: byIdentity},
		{path: base + "/revoke-session", effect: byPeer},
		{path: base + "/revoke-sessions", effect: byPeer},
		{path: base + "/revoke-other-sessions", effect: byPeer},
		{path: base + "/sign-out", effect: bySession},
	}
}

// Has reports whether a canonical path is one of the API. It does not allocate.
func (t Table) Has(path []byte) bool {
	for i := range t {
		if fits(t[i].path, path) {
			return true
		}
	}
	return false
}

// find returns the call that a request is. It changes nothing if there is none.
func (t Table) find(method, path []byte) *call {
	for i := range t {
		if c := &t[i]; fits(c.path, path) && c.takes(method) {
			return c
		}
	}
	return &call{}
}

func (c *call) takes(method []byte) bool {
	for rest, more := c.methods, c.methods != ""; more; {
		var one string
		if one, rest, more = strings.Cut(rest, " "); one == string(method) {
			return true
		}
	}
	return c.methods == ""
}

// fits reports whether path is one that pattern stands for.
func fits(pattern string, path []byte) bool {
	for len(pattern) > 0 && len(path) > 0 {
		if pattern == "/*" {
			return true
		}
		n, m := segmentEnd(pattern), segmentEnd(path)
		if want, got := pattern[1:n], path[1:m]; want != string(got) && (want[0] != '{' || len(got) == 0) {
			return false
		}
		pattern, path = pattern[n:], path[m:]
	}
	return len(pattern) == 0 && len(path) == 0
}

// segmentEnd returns where the segment ends that s begins with, after its slash.
func segmentEnd[T string | []byte](s T) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '/' {
			return i
		}
	}
	return len(s)
}
