package soak

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// brokenPage asks for a page that the application breaks off. It must not look whole.
func (p *person) brokenPage() {
	target, _ := p.order("/broken", 1+p.random.IntN(64<<10), &p.login)
	o := p.send(context.Background(), http.MethodGet, target, nil, p.credential())
	switch {
	case o.err != nil:
		p.tally.count("broken page", "cut off")
	case p.judge("broken page", o, true, signedIn...):
		p.tally.wrong("broken page: a page that the application broke off looks whole")
	}
}

var errCut = errors.New("cut off")

// cutUpload breaks off in the middle of an upload. The application finds wrong what looks whole all the same.
func (p *person) cutUpload() {
	target, body := p.order("/upload", 1+p.random.IntN(128<<10), &p.login)
	left := io.MultiReader(bytes.NewReader(body[:p.random.IntN(len(body))]), failing{})
	o := p.send(context.Background(), http.MethodPost, target, left, p.credential())
	p.tally.count("cut upload", describe(o))
	if o.err == nil && o.status == http.StatusOK {
		p.tally.wrong("cut upload: an upload that was cut off is answered with 200")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errCut }

// cutDownload goes away in the middle of a page.
func (p *person) cutDownload() {
	target, want := p.order("/page", 256<<10, &p.login)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.gateway.url+target, nil)
	if err != nil {
		p.tally.wrong("cut download: %v", err)
		return
	}
	req.Header = p.credential()
	resp, err := p.client.Do(req)
	if err != nil {
		p.tally.count("cut download", "cut off")
		return
	}
	defer resp.Body.Close()
	p.tally.count("cut download", strconv.Itoa(resp.StatusCode))
	if resp.StatusCode == http.StatusOK {
		head := make([]byte, p.random.IntN(len(want)))
		n, _ := io.ReadFull(resp.Body, head)
		p.same("cut download", head[:n], want[:n])
	}
}

// cutWait goes away while the application has not answered.
func (p *person) cutWait() {
	target, _ := p.order("/never", 0, &p.login)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(p.random.IntN(20))*time.Millisecond)
	defer cancel()
	o := p.send(ctx, http.MethodGet, target, nil, p.credential())
	p.tally.count("cut wait", describe(o))
	if o.err == nil && o.status == http.StatusOK {
		p.tally.wrong("cut wait: an answer that was never given: %.200q", o.body)
	}
}

func describe(o outcome) string {
	if o.err != nil {
		return "cut off"
	}
	return strconv.Itoa(o.status)
}
