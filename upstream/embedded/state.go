package embedded

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// A session is one version of a session, in memory and in the file. It is immutable: a change puts a new version in its place.
type session struct {
	ID              string
	IdentityID      string
	TokenHash       string // SHA-256 of the session token, in hex
	Active          bool   // false once it was revoked; says nothing of expiry
	AAL             string
	RequireAAL2     bool
	Methods         []method
	IssuedAt        time.Time
	AuthenticatedAt time.Time
	ExpiresAt       time.Time
	Devices         []device
}

// An identity is one version of an identity, immutable like a session.
type identity struct {
	ID             string
	SchemaID       string
	State          string // active or inactive
	StateChangedAt time.Time
	Traits         json.RawMessage // an object
	MetadataPublic json.RawMessage // any value; null if there is none
	VerifiableID   string          // of the address that traits.email makes
	RecoveryID     string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

const active, inactive = "active", "inactive"

// An edit is a set of new versions by id. A nil version removes.
type edit struct {
	sessions   map[string]*session
	identities map[string]*identity
}

// A state is all that a service knows. The zero state is empty. Every session has its identity.
type state struct {
	sessions   map[string]*session
	identities map[string]*identity
	byToken    map[string]string              // token hash to session id
	byIdentity map[string]map[string]struct{} // identity id to the ids of its sessions
}

func (st *state) apply(e edit) {
	if st.sessions == nil {
		st.sessions, st.identities = map[string]*session{}, map[string]*identity{}
		st.byToken, st.byIdentity = map[string]string{}, map[string]map[string]struct{}{}
	}
	for id, x := range e.identities {
		if x == nil {
			delete(st.identities, id)
			continue
		}
		st.identities[id] = x
	}
	for id, x := range e.sessions {
		if x == nil {
			st.drop(st.sessions[id])
			continue
		}
		st.sessions[id] = x
		st.byToken[x.TokenHash] = id
		if st.byIdentity[x.IdentityID] == nil {
			st.byIdentity[x.IdentityID] = map[string]struct{}{}
		}
		st.byIdentity[x.IdentityID][id] = struct{}{}
	}
}

func (st *state) drop(x *session) {
	delete(st.sessions, x.ID)
	delete(st.byToken, x.TokenHash)
	delete(st.byIdentity[x.IdentityID], x.ID)
	if len(st.byIdentity[x.IdentityID]) == 0 {
		delete(st.byIdentity, x.IdentityID)
	}
}

// live reports whether whoami knows x at t. A nil session is not live.
func (st *state) live(x *session, t time.Time) bool {
	if x == nil || !x.valid(t) {
		return false
	}
	i := st.identities[x.IdentityID]
	return i != nil && i.State == active
}

// valid is what Kratos' admin API calls active: neither revoked nor expired, whatever has become of the identity.
func (x *session) valid(t time.Time) bool { return x.Active && t.Before(x.ExpiresAt) }

// liveAmong returns the live sessions that e is about, be it only through their identity.
func (st *state) liveAmong(e edit, t time.Time) []*session {
	ids := map[string]struct{}{}
	for id := range e.sessions {
		ids[id] = struct{}{}
	}
	for id := range e.identities {
		maps.Copy(ids, st.byIdentity[id])
	}
	var found []*session
	for id := range ids {
		if x := st.sessions[id]; st.live(x, t) {
			found = append(found, x)
		}
	}
	return found
}

// of returns the sessions of an identity, or of all if it is empty, that keep wants, the newest first.
func (st *state) of(identityID string, keep func(*session) bool) []*session {
	var found []*session
	add := func(x *session) {
		if keep(x) {
			found = append(found, x)
		}
	}
	if identityID == "" {
		for _, x := range st.sessions {
			add(x)
		}
	}
	for id := range st.byIdentity[identityID] {
		add(st.sessions[id])
	}
	slices.SortFunc(found, newestFirst)
	return found
}

// newestFirst is the order of every list, as in Kratos: by age, and by id among sessions of the same age.
func newestFirst(a, b *session) int {
	if c := b.IssuedAt.Compare(a.IssuedAt); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}
