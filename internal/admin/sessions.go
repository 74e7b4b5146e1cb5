package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Remembered is what is remembered of one credential. It tells nothing of the credential but a tag, by which logs name it too.
type Remembered struct {
	Session *upstream.Session
	Tag     string
	Table   string        // of the cache, as metrics name it
	Age     time.Duration // since the session service was asked
	Fresh   bool          // else stale
}

// The limits of a list.
const (
	usualList   = 100
	longestList = 10_000
)

// A listedSession is a [Remembered] as the answer has it.
type listedSession struct {
	Upstream        string    `json:"upstream,omitempty"`
	SessionID       string    `json:"session_id"`
	IdentityID      string    `json:"identity_id"`
	AAL             string    `json:"aal"`
	AuthenticatedAt time.Time `json:"authenticated_at,omitzero"`
	ExpiresAt       time.Time `json:"expires_at,omitzero"`
	Credential      string    `json:"credential"` // the tag
	Table           string    `json:"table"`
	State           string    `json:"state"`
	AgeSeconds      float64   `json:"age_seconds"`
}

// list answers with what is remembered of sessions: of one by session_id, of those of one identity by identity_id, or of all, limit of them
// at most, of one session service by upstream or of all.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query, limit := r.URL.Query(), usualList
	for name, values := range query {
		known := name == "session_id" || name == "identity_id" || name == "limit" || name == "upstream"
		if !known || len(values) != 1 || values[0] == "" {
			http.Error(w, "want session_id, identity_id, upstream and limit, each once at most and not empty", http.StatusBadRequest)
			return
		}
	}
	if query.Has("limit") {
		var err error
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > longestList {
			http.Error(w, fmt.Sprintf("limit must be a number from 1 to %d", longestList), http.StatusBadRequest)
			return
		}
	}
	of, err := s.upstreams(query.Get("upstream"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	session, identity := query.Get("session_id"), query.Get("identity_id")
	want := func(s *upstream.Session) bool {
		return (session == "" || s.ID == session) && (identity == "" || s.IdentityID == identity)
	}
	list, more := []listedSession{}, false // so that none is [] and not null
	for _, u := range of {
		found, rest := u.Remembered(limit-len(list), want)
		list, more = appendListed(list, u.Name, found), more || rest
	}
	writeJSON(w, struct {
		Sessions []listedSession `json:"sessions"`
		More     bool            `json:"more"`
	}{list, more})
}

// appendListed appends what is remembered of sessions of a service.
func appendListed(list []listedSession, of string, found []Remembered) []listedSession {
	for _, f := range found {
		state := "stale"
		if f.Fresh {
			state = "fresh"
		}
		list = append(list, listedSession{
			of, f.Session.ID, f.Session.IdentityID, f.Session.AAL.String(), f.Session.AuthenticatedAt, f.Session.ExpiresAt,
			f.Tag, f.Table, state, f.Age.Seconds(),
		})
	}
	return list
}
