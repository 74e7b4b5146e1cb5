package soak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// How the credentials begin that the session service makes.
const (
	tokenPrefix  = "ory_st_"
	cookiePrefix = "MTc5NTM0"
)

// A person has one session at a time and does one thing after the other.
type person struct {
	*scene
	random *rand.Rand
	client http.Client
	login  upstreamtest.Login
	kind   int // of credential
	nonces int
}

func newPerson(s *scene, number int) *person {
	p := &person{scene: s, kind: number, random: rand.New(rand.NewPCG(s.seed, uint64(number)))}
	p.client.Transport = &http.Transport{MaxIdleConnsPerHost: 2, DisableCompression: true}
	p.login = s.service.SignIn(upstreamtest.Login{})
	return p
}

// live does things until ctx ends, with a pause after each.
func (p *person) live(ctx context.Context) {
	things := []struct {
		weight int
		do     func()
	}{
		{30, p.page},
		{8, p.bigPage},
		{8, p.upload},
		{3, p.events},
		{3, p.chat},
		{15, p.whoami},
		{15, p.forwardAuth},
		{4, p.public},
		{4, p.optional},
		{3, p.stranger},
		{3, p.unknown},
		{2, p.brokenPage},
		{2, p.cutUpload},
		{2, p.cutDownload},
		{2, p.cutWait},
		{1, p.signOut},
	}
	total := 0
	for _, thing := range things {
		total += thing.weight
	}
	for ctx.Err() == nil {
		n := p.random.IntN(total)
		for _, thing := range things {
			if n -= thing.weight; n < 0 {
				thing.do()
				break
			}
		}
		select {
		case <-time.After(time.Duration(p.random.Int64N(int64(2*p.between) + 1))):
		case <-ctx.Done():
		}
	}
}

// An outcome is what came of a request. Its body is whole if err is nil.
type outcome struct {
	status int
	header http.Header
	body   []byte
	err    error
	calm   bool // there was an application all the time
}

// send sends a request with the header lines given.
func (p *person) send(ctx context.Context, method, target string, body io.Reader, header http.Header) (o outcome) {
	before := p.app.trouble.Load()
	defer func() { o.calm = before%2 == 0 && p.app.trouble.Load() == before }()
	req, err := http.NewRequestWithContext(ctx, method, p.gateway.url+target, body)
	if err != nil {
		return outcome{err: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	o = outcome{status: resp.StatusCode, header: resp.Header}
	o.body, o.err = io.ReadAll(resp.Body)
	return o
}

// credential returns the header lines of somebody who has signed in.
func (p *person) credential() http.Header {
	switch p.kind % 3 {
	case 0:
		return http.Header{"X-Session-Token": {p.login.Token}}
	case 1:
		return http.Header{"Cookie": {"theme=dark; " + upstreamtest.DefaultCookie + "=" + p.login.Cookies[0] + "; lang=en"}}
	default:
		return http.Header{"Authorization": {"Bearer " + p.login.Token}}
	}
}

// nonce returns what no other request has.
func (p *person) nonce() string {
	p.nonces++
	return fmt.Sprintf("%d.%d", p.kind, p.nonces)
}

// judge counts an outcome and finds wrong whatever may not be. Of what the application has no part in, an answer comes always.
func (p *person) judge(what string, o outcome, proxied bool, allowed ...int) (answered bool) {
	if o.err != nil {
		p.tally.count(what, "cut off")
		if !proxied || o.calm {
			p.tally.wrong("%s: no whole answer, although nothing was broken: %v", what, o.err)
		}
		return false
	}
	p.tally.count(what, strconv.Itoa(o.status))
	if proxied && !o.calm && (o.status == http.StatusBadGateway || o.status == http.StatusServiceUnavailable) {
		return false
	}
	for _, status := range allowed {
		if o.status == status {
			return status == http.StatusOK
		}
	}
	p.tally.wrong("%s: status %d, calm %v: %.200q", what, o.status, o.calm, o.body)
	return false
}

// same finds wrong an answer that is not the one that was asked for.
func (p *person) same(what string, got, want []byte) {
	if !bytes.Equal(got, want) {
		p.tally.wrong("%s: an answer that is somebody else's, or nobody's: %d bytes that begin with %.120q, want %d with %.120q", what, len(got), got,
			len(want), want)
	}
}

// order returns a target, and the content that belongs to it.
func (p *person) order(path string, size int, as *upstreamtest.Login) (target string, want []byte) {
	nonce := p.nonce()
	q := url.Values{"nonce": {nonce}, "size": {strconv.Itoa(size)}}
	if p.random.IntN(2) == 0 {
		q.Set("chunked", "1")
	}
	if as == nil {
		return path + "?" + q.Encode(), content(nobody, nobody, nonce, size)
	}
	return path + "?" + q.Encode(), content(as.IdentityID, as.SessionID, nonce, size)
}

// The answers to somebody with a session: it is an outage, and never a no, if the service does not answer.
var signedIn = []int{http.StatusOK, http.StatusServiceUnavailable}

func (p *person) fetch(what, path string, size int, as *upstreamtest.Login, header http.Header, allowed ...int) {
	target, want := p.order(path, size, as)
	if o := p.send(context.Background(), http.MethodGet, target, nil, header); p.judge(what, o, true, allowed...) {
		p.same(what, o.body, want)
	}
}

func (p *person) page() {
	p.fetch("page", "/page", p.random.IntN(4<<10), &p.login, p.credential(), signedIn...)
}

func (p *person) bigPage() {
	p.fetch("big page", "/page", p.random.IntN(512<<10), &p.login, p.credential(), signedIn...)
}

// public asks for what is everybody's, with a credential and an identity that somebody made up. Neither reaches the application.
func (p *person) public() {
	header := p.credential()
	header["X-User-Id"], header["x_session_id"] = []string{"forged"}, []string{"forged"}
	p.fetch("public page", "/public/page", p.random.IntN(4<<10), nil, header, http.StatusOK)
}

func (p *person) optional() {
	p.fetch("optional page", "/optional/page", 100, &p.login, p.credential(), signedIn...)
	p.fetch("optional page, nobody", "/optional/page", 100, nil, nil, http.StatusOK)
}

// stranger asks without a credential.
func (p *person) stranger() {
	p.fetch("no credential", "/page", 100, nil, nil, http.StatusUnauthorized)
}

// unknown asks with a credential that nobody has.
func (p *person) unknown() {
	header := http.Header{"X-Session-Token": {tokenPrefix + "unknown" + p.nonce()}}
	p.fetch("unknown credential", "/page", 100, nil, header, http.StatusUnauthorized, http.StatusServiceUnavailable)
}

func (p *person) whoami() {
	o := p.send(context.Background(), http.MethodGet, "/sessions/whoami", nil, p.credential())
	if p.judge("whoami", o, false, signedIn...) {
		p.same("whoami", o.body, p.login.Body)
	}
}

// askForwardAuth asks as a front proxy does.
func (p *person) askForwardAuth() outcome {
	header := p.credential()
	for name, value := range map[string]string{"Method": "GET", "Proto": "https", "Host": "app.example.com", "Uri": "/page?a=b"} {
		header["X-Forwarded-"+name] = []string{value}
	}
	return p.send(context.Background(), http.MethodGet, "/.gatehouse/auth", nil, header)
}

func (p *person) forwardAuth() {
	if o := p.askForwardAuth(); p.judge("forward-auth", o, false, signedIn...) {
		got := fmt.Sprint(o.header["X-User-Id"], o.header["X-Session-Id"])
		p.same("forward-auth", []byte(got), []byte(fmt.Sprint([]string{p.login.IdentityID}, []string{p.login.SessionID})))
	}
}

func (p *person) upload() {
	target, body := p.order("/upload", p.random.IntN(256<<10)>>p.random.IntN(9), &p.login)
	var reader io.Reader = bytes.NewReader(body)
	if p.random.IntN(2) == 0 {
		reader = io.MultiReader(reader) // of unknown length, and so sent in chunks
	}
	if o := p.send(context.Background(), http.MethodPost, target, reader, p.credential()); p.judge("upload", o, true, signedIn...) {
		p.same("upload", o.body, body)
	}
}

func (p *person) events() {
	count := 1 + p.random.IntN(20)
	target, want := p.order("/events", 0, &p.login)
	o := p.send(context.Background(), http.MethodGet, fmt.Sprintf("%s&count=%d", target, count), nil, p.credential())
	if p.judge("events", o, true, signedIn...) {
		var all []byte
		for i := range count {
			all = fmt.Appendf(all, "id: %d\ndata: %s\n\n", i, bytes.TrimSpace(want))
		}
		p.same("events", o.body, all)
	}
}

// chat opens a WebSocket, and goes away after the first message.
func (p *person) chat() {
	target, want := p.order("/chat", 0, &p.login)
	line := bytes.TrimSpace(want)
	before := p.app.trouble.Load()
	o := p.open(target, len(line))
	o.calm = before%2 == 0 && p.app.trouble.Load() == before
	if p.judge("chat", o, true, http.StatusSwitchingProtocols, http.StatusServiceUnavailable); o.status == http.StatusSwitchingProtocols && o.err == nil {
		p.same("chat", o.body, line)
	}
}

// open sends the handshake of a WebSocket, and reads a message of the length given if it was granted.
func (p *person) open(target string, length int) (o outcome) {
	c, err := net.Dial("tcp", strings.TrimPrefix(p.gateway.url, "http://"))
	if err != nil {
		return outcome{err: err}
	}
	defer c.Close()
	req, err := http.NewRequest(http.MethodGet, p.gateway.url+target, nil)
	if err != nil {
		return outcome{err: err}
	}
	req.Header = p.credential()
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(name, value)
	}
	if err := req.Write(c); err != nil {
		return outcome{err: err}
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return outcome{err: err}
	}
	o = outcome{status: resp.StatusCode, header: resp.Header}
	if o.status != http.StatusSwitchingProtocols {
		o.body, o.err = io.ReadAll(resp.Body)
		return o
	}
	frame := make([]byte, 2+length)
	_, o.err = io.ReadFull(r, frame)
	o.body = frame[2:]
	return o
}

// signOut ends the session, tells the gateway, and signs in again. Nothing may pass between.
func (p *person) signOut() {
	p.service.SignOut(p.login.SessionID)
	if err := p.gateway.post("/-/revoke", url.Values{"session_id": {p.login.SessionID}}); err != nil {
		p.tally.wrong("revoke: %v", err)
		return
	}
	signedOut := []int{http.StatusUnauthorized, http.StatusServiceUnavailable}
	p.fetch("page, signed out", "/page", 100, nil, p.credential(), signedOut...)
	p.judge("forward-auth, signed out", p.askForwardAuth(), false, signedOut...)
	o := p.send(context.Background(), http.MethodGet, "/sessions/whoami", nil, p.credential())
	p.judge("whoami, signed out", o, false, signedOut...)
	p.login = p.service.SignIn(upstreamtest.Login{})
}

// settled reports whether the person is served on every face, as when nothing was ever broken.
func (p *person) settled() bool {
	target, want := p.order("/page", 100, &p.login)
	page := p.send(context.Background(), http.MethodGet, target, nil, p.credential())
	who := p.send(context.Background(), http.MethodGet, "/sessions/whoami", nil, p.credential())
	var said struct{ ID string }
	return page.status == http.StatusOK && bytes.Equal(page.body, want) && p.askForwardAuth().status == http.StatusOK &&
		json.Unmarshal(who.body, &said) == nil && said.ID == p.login.SessionID
}
