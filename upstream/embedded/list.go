package embedded

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

const defaultPage, maxPage = 250, 1000 // sessions

// listOf lists the sessions of one identity. An identity that does not exist has none.
func (s *Service) listOf(w http.ResponseWriter, r *http.Request, id string) error {
	keep, err := activeParameter(r)
	if err != nil {
		return err
	}
	s.mu.RLock()
	i := s.state.identities[id]
	s.mu.RUnlock()
	if i == nil {
		i = &identity{ID: id}
	}
	return s.writeList(w, r, "/admin/identities/"+id+"/sessions", i, keep, now())
}

// writeList writes one page of the sessions of i that keep wants.
//
// Pages are Kratos', quirk included: its links count pages from 0 and its database from 1, so page 0 and page 1 are the same, and the
// last link leads to the last page but one.
func (s *Service) writeList(
	w http.ResponseWriter, r *http.Request, path string, i *identity, keep func(*session) bool, at time.Time,
) error {
	s.mu.RLock()
	all := s.state.of(i.ID, keep)
	s.mu.RUnlock()
	page, size := pageParameters(r.URL.Query())
	w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
	w.Header().Set("Link", pageLinks(path, r.URL.Query(), len(all), page, size))

	shown := s.listedIdentity(i)
	shown.SchemaURL = ""
	start := min((max(page, 1)-1)*size, len(all))
	views := []sessionJSON{}
	for _, x := range all[start:min(start+size, len(all))] {
		views = append(views, sessionView(x, shown, x.Devices, at))
	}
	return writeJSON(w, http.StatusOK, views)
}

// pageParameters reads page_size and page_token, or per_page and page as they were called before. What cannot be read counts as absent.
func pageParameters(q url.Values) (page, size int) {
	if !q.Has("page_token") && !q.Has("page_size") {
		page, _ = strconv.Atoi(q.Get("page"))
		return clampPage(page), pageSize(q.Get("per_page"))
	}
	size = pageSize(q.Get("page_size"))
	var token struct {
		Offset json.Number `json:"offset"`
	}
	if raw, err := base64.RawURLEncoding.DecodeString(q.Get("page_token")); err == nil && json.Unmarshal(raw, &token) == nil {
		offset, _ := token.Offset.Int64()
		page = int(offset) / size
	}
	return clampPage(page), size
}

func clampPage(page int) int { return max(0, min(page, maxRecords)) }

func pageSize(raw string) int {
	size, err := strconv.Atoi(raw)
	if err != nil {
		return defaultPage
	}
	return max(1, min(size, maxPage))
}

// pageLinks makes the Link header: pagination/header.go of github.com/ory/x.
func pageLinks(path string, q url.Values, total, page, size int) string {
	link := func(rel string, size, offset int) string {
		q.Set("page_size", strconv.Itoa(size))
		q.Set("page_token", base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"offset":"%d","v":2}`, offset)))
		q.Set("per_page", strconv.Itoa(size))
		q.Set("page", strconv.Itoa(offset/size))
		return "<" + path + "?" + q.Encode() + `>; rel="` + rel + `"`
	}
	offset := page * size
	last := max(total-1, 0) / size * size
	first, next, prev := link("first", size, 0), link("next", size, offset+size), link("prev", size, offset-size)
	var links []string
	switch {
	case total == 0:
		links = []string{first, next, prev}
	case offset >= last && total <= size:
		links = []string{link("first", total, 0)}
	case offset >= last:
		links = []string{first, link("prev", size, last-size)}
	case page == 0:
		links = []string{next, link("last", size, last)}
	default:
		links = []string{first, next, prev, link("last", size, last)}
	}
	return strings.Join(links, ",")
}

// A cursor is a place in the list of all sessions: right after the session of that age and id.
type cursor struct {
	issued time.Time
	id     string
}

const cursorTime = "2006-01-02 15:04:05.999999999"

// The start of the list is before every session.
var firstCursor = cursor{time.Date(2200, 12, 31, 23, 59, 59, 0, time.UTC), "00000000-0000-0000-0000-000000000000"}

func (c cursor) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte("id=" + c.id + "/created_at=" + c.issued.Format(cursorTime)))
}

func parseCursor(token string) (cursor, error) {
	if token == "" {
		return firstCursor, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	id, issued, ok := strings.Cut(strings.TrimPrefix(string(raw), "id="), "/created_at=")
	_, err2 := parseID(id)
	at, err3 := time.Parse(cursorTime, issued)
	if err != nil || err2 != nil || err3 != nil || !ok {
		return cursor{}, refuse(http.StatusBadRequest, "The page token is invalid, do not craft your own page tokens")
	}
	return cursor{at, id}, nil
}

// listAll lists the sessions of everybody, in pages that start after a session and not after a number of them.
func (s *Service) listAll(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	keep, err := activeParameter(r)
	if err != nil {
		return err
	}
	after, err := parseCursor(q.Get("page_token"))
	if err != nil {
		return err
	}
	withIdentity, withDevices, err := expandParameter(r)
	if err != nil {
		return err
	}
	size := pageSize(q.Get("page_size"))
	found, identities := s.after(after, keep, size)
	link := func(rel string, c cursor) string {
		q.Set("page_size", strconv.Itoa(size))
		q.Set("page_token", c.token())
		return "</admin/sessions?" + q.Encode() + `>; rel="` + rel + `"`
	}
	links := link("first", firstCursor)
	if len(found) > size {
		found = found[:size]
		links += "," + link("next", cursor{found[size-1].IssuedAt, found[size-1].ID})
	}
	w.Header().Set("Link", links)

	views := []sessionJSON{}
	for n, x := range found {
		var shown *identityJSON
		var devices []device
		if withIdentity {
			shown = s.listedIdentity(identities[n])
		}
		if withDevices {
			devices = x.Devices
		}
		views = append(views, sessionView(x, shown, devices, now()))
	}
	return writeJSON(w, http.StatusOK, views)
}

// after returns up to one more than size of the sessions after c that keep wants, and their identities.
func (s *Service) after(c cursor, keep func(*session) bool, size int) ([]*session, []*identity) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*session
	for _, x := range s.state.sessions {
		if keep(x) {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, newestFirst)
	start := sort.Search(len(all), func(n int) bool { return newestFirst(all[n], &session{IssuedAt: c.issued, ID: c.id}) > 0 })
	all = all[start:min(start+size+1, len(all))]
	identities := make([]*identity, len(all))
	for n, x := range all {
		identities[n] = s.state.identities[x.IdentityID]
	}
	return all, identities
}
