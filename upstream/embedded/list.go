package embedded

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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

// Pages of all sessions start after a session, and not after a number of them. What stands for it, here and in a page token, is a session
// of that age and id; the start of the list is before every session.
var listStart = &session{IssuedAt: time.Date(2200, 12, 31, 23, 59, 59, 0, time.UTC), ID: "00000000-0000-0000-0000-000000000000"}

const cursorTime = "2006-01-02 15:04:05.999999999"

func cursor(x *session) string {
	return base64.RawURLEncoding.EncodeToString([]byte("id=" + x.ID + "/created_at=" + x.IssuedAt.Format(cursorTime)))
}

func parseCursor(token string) (*session, error) {
	if token == "" {
		return listStart, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	id, issued, ok := strings.Cut(strings.TrimPrefix(string(raw), "id="), "/created_at=")
	_, err2 := parseID(id)
	at, err3 := time.Parse(cursorTime, issued)
	if err != nil || err2 != nil || err3 != nil || !ok {
		return nil, refuse(http.StatusBadRequest, "The page token is invalid, do not craft your own page tokens")
	}
	return &session{ID: id, IssuedAt: at}, nil
}

// listAll lists the sessions of everybody.
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
	link := func(rel string, x *session) string {
		q.Set("page_size", strconv.Itoa(size))
		q.Set("page_token", cursor(x))
		return "</admin/sessions?" + q.Encode() + `>; rel="` + rel + `"`
	}
	links := link("first", listStart)

	s.mu.RLock()
	found := s.state.of("", func(x *session) bool { return keep(x) && newestFirst(after, x) < 0 })
	if len(found) > size {
		found = found[:size]
		links += "," + link("next", found[size-1])
	}
	w.Header().Set("Link", links)
	views := []sessionJSON{}
	for _, x := range found {
		var shown *identityJSON
		var devices []device
		if withIdentity {
			shown = s.listedIdentity(s.state.identities[x.IdentityID])
		}
		if withDevices {
			devices = x.Devices
		}
		views = append(views, sessionView(x, shown, devices, now()))
	}
	s.mu.RUnlock()
	return writeJSON(w, http.StatusOK, views)
}
