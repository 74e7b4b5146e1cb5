package hostile

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A Reading is what a server takes a request for.
type Reading struct {
	Method, Host string   // the host in lower case, without port and trailing dot
	Path, Query  string   // the path decoded and without parameters, the query as it came
	Notes        []string // the values of X-Note
	Cookies      []string // the Cookie lines
	Spoofed      []string // header lines that only a gateway may write, in any spelling
	Body         string
}

// Read returns the reading of r, as net/http has it. It fails when the body is cut off or broken, so that there is no request.
func Read(r *http.Request) (Reading, error) {
	body, err := io.ReadAll(r.Body)
	reading := Reading{
		Method: r.Method, Host: strings.TrimSuffix(strings.ToLower((&url.URL{Host: r.Host}).Hostname()), "."), Path: Path(r.URL.Path),
		Query: r.URL.RawQuery, Notes: r.Header["X-Note"], Cookies: r.Header["Cookie"], Body: string(body),
	}
	for name, values := range r.Header {
		if strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)) == "x-user-id" {
			reading.Spoofed = append(reading.Spoofed, values...)
		}
	}
	return reading, err
}

// Path returns a decoded path without the parameters of its segments. An empty one, which a whole URL may have, is that of the root.
func Path(path string) string {
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	return strings.Join(segments, "/")
}

// A Recorder is an application that notes what reaches it, and answers every request with 200 and nothing more. A request whose body is
// cut off is none.
type Recorder struct {
	mu   sync.Mutex
	list []Reading
}

// ServeHTTP notes a request.
func (r *Recorder) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	if reading, err := Read(req); err == nil {
		r.Note(reading)
	}
}

// Note notes a reading.
func (r *Recorder) Note(reading Reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, reading)
}

// Take returns what was noted since it was last called.
func (r *Recorder) Take() []Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] ([2-9][0-9][0-9]) `)

// Statuses returns the final statuses among the responses on a connection.
func Statuses(responses []byte) (list []int) {
	for _, m := range statusLine.FindAllSubmatch(responses, -1) {
		status, err := strconv.Atoi(string(m[1]))
		if err == nil {
			list = append(list, status)
		}
	}
	return list
}
