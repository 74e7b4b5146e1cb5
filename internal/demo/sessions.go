package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// A person is somebody to sign in as.
type person struct {
	ID       string // of the identity, a UUID
	Username string
	Name     string
	AAL      string
}

// people are all there are.
var people = []person{
	{"a11ce000-0000-4000-8000-000000000001", "alice", "Alice", "aal1"},
	{"b0b00000-0000-4000-8000-000000000002", "bob", "Bob", "aal1"},
	{"ca201000-0000-4000-8000-000000000003", "carol", "Carol", "aal2"},
}

// sessions begins and ends sessions at the session service, through its admin API. A real application would send people to a login page
// instead.
type sessions struct {
	admin  string // base URL
	client http.Client
}

func newSessions(admin string) *sessions {
	return &sessions{admin: admin, client: http.Client{
		Timeout: 3 * time.Second,
		// Nothing is kept open that somebody would have to close, and no proxy is asked for what is on this machine.
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
}

// A grant is what a new session can be presented as.
type grant struct {
	Token  string `json:"session_token"`
	Cookie struct {
		Value string `json:"value"`
	} `json:"session_cookie"`
}

// begin begins a session for p.
func (s *sessions) begin(ctx context.Context, p person) (g grant, err error) {
	type identity struct {
		ID     string            `json:"id"`
		Traits map[string]string `json:"traits"`
	}
	body, err := json.Marshal(struct {
		Identity identity `json:"identity"`
		AAL      string   `json:"aal"`
	}{identity{p.ID, map[string]string{"username": p.Username, "email": p.Username + "@example.com"}}, p.AAL})
	if err != nil {
		return g, fmt.Errorf("begin session: %w", err)
	}
	answer, err := s.ask(ctx, http.MethodPost, "/admin/sessions", body, http.StatusCreated)
	if err != nil {
		return g, fmt.Errorf("begin session: %w", err)
	}
	if err := json.Unmarshal(answer, &g); err != nil || g.Token == "" || g.Cookie.Value == "" {
		return g, fmt.Errorf("begin session: session service gave no session")
	}
	return g, nil
}

// end ends a session.
func (s *sessions) end(ctx context.Context, id string) error {
	if _, err := s.ask(ctx, http.MethodDelete, "/admin/sessions/"+url.PathEscape(id), nil, http.StatusNoContent); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// ask sends one request and returns the body of the answer, which must have the status that is wanted.
func (s *sessions) ask(ctx context.Context, method, path string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.admin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != want {
		return nil, fmt.Errorf("session service answered %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 64<<10))
}
