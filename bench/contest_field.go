package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

func field() contest {
	return contest{
		"field", "The field",
		"Decisions of other gateways for a user who has logged in, each by a cookie of its own. Gatehouse, whose cookie has 428 bytes, and " +
			"Authelia find the session in memory. Authelia also notes when the user was last seen, unless they asked to be remembered. " +
			"oauth2-proxy has the session in the cookie and decrypts that, with the tokens of the login or, in a minimal cookie, without. " +
			"Oathkeeper asks a session service each time, here one that answers at once and whose own work does not count. All say in four or " +
			"five headers who the user is, and have been seen to refuse a request without a session.",
		func(a *arena) (*report.Contest, error) {
			return compareDecisions(a, []contestant{
				{"Gatehouse", gatehouse, questionAt(gatehouseQuestion, byCookie), 0},
				{"Authelia", authelia, questionAt(autheliaQuestion, byCookie), 1. / 6},
				{"Authelia, remembered user", autheliaRemembered, questionAt(autheliaQuestion, byCookie), 1. / 6},
				{"oauth2-proxy", oauth2Proxy, questionAt(oauth2ProxyQuestion, byCookie), 1. / 9},
				{"oauth2-proxy, minimal cookie", oauth2ProxyMinimal, questionAt(oauth2ProxyQuestion, byCookie), 1. / 9},
				{"Oathkeeper cookie_session", oathkeeper, questionAt(oathkeeperQuestion, byCookie), 1. / 35},
			})
		},
	}
}

// compareDecisions compares what decisions cost, of those who make them.
func compareDecisions(a *arena, all []contestant) (*report.Contest, error) {
	players, missing, err := a.players(all)
	if err != nil {
		return nil, err
	}
	for _, p := range players {
		if err := p.decides(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return costs(a, players, missing, nil)
}

// decides fails unless the user of the session is named in the answer, and who has none is refused: what anything else costs says nothing.
func (p player) decides() error {
	answer, err := load.Ask(p.server.address, p.request)
	if err != nil {
		return fmt.Errorf("ask with a session: %w", err)
	}
	head := answer[:bytes.Index(answer, []byte("\r\n\r\n"))+2]
	for _, value := range [...]string{userEmail, userName} {
		if !bytes.Contains(head, []byte(": "+value+"\r\n")) {
			return fmt.Errorf("does not say in a header that the session is of %s:\n%s", value, head)
		}
	}
	_, err = load.Ask(p.server.address, p.contestant.request(new(session)))
	if err == nil {
		return errors.New("lets a request without a session pass")
	}
	if !errors.Is(err, load.ErrRefused) {
		return fmt.Errorf("ask without a session: %w", err)
	}
	return nil
}
