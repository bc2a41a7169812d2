// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"metalsuite.io/test/lab"
)

// askEvery is how often the client asks who has an address.
const askEvery = 10 * time.Millisecond

// OneAnswer asks from the client who has the address until somebody answers, then for a while longer, and returns the node that does.
// It is an error when more than one hardware address answers.
func (s *Suite) OneAnswer(ctx context.Context, address netip.Addr, limit, during time.Duration) (node, mac string, err error) {
	watch, err := s.Lab.Client().Watch(ctx, lab.Segment, address, askEvery)
	if err != nil {
		return "", "", err
	}
	answered := Await(ctx, limit, func(context.Context) error {
		if watch.Report().Answers == 0 {
			return errors.New("nobody answers")
		}
		return nil
	})
	if answered == nil {
		select {
		case <-ctx.Done():
		case <-time.After(during):
		}
	}
	report, err := watch.Stop()
	if err := errors.Join(answered, err); err != nil {
		return "", "", fmt.Errorf("asking who has %s: %w", address, err)
	}
	if owners := report.Owners(); len(owners) != 1 {
		return "", "", fmt.Errorf("%s is answered by %s", address, strings.Join(owners, " and "))
	}
	node, err = s.nodeOf(report.Owner())
	return node, report.Owner(), err
}

func (s *Suite) nodeOf(mac string) (string, error) {
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		return "", fmt.Errorf("reading a hardware address: %w", err)
	}
	node, ok, err := s.Lab.NodeOfMAC(hardware)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("hardware address %s belongs to no node", mac)
	}
	return node, nil
}

// Move is what a client saw of an address that changed its node.
type Move struct {
	From, To string
	// Silence is how long nobody answered for the address.
	Silence time.Duration
}

// Watch follows who answers for the address while act takes effect, until another node than now has answered.
func (s *Suite) Watch(ctx context.Context, address netip.Addr, limit time.Duration, act func(context.Context) error) (Move, error) {
	watch, err := s.Lab.Client().Watch(ctx, lab.Segment, address, askEvery)
	if err != nil {
		return Move{}, err
	}
	changes := func(n int) func(context.Context) error {
		return func(context.Context) error {
			if len(watch.Report().Changes) < n {
				return errors.New("no other node answers")
			}
			return nil
		}
	}
	seen := Await(ctx, limit, changes(1))
	if seen == nil {
		seen = act(ctx)
	}
	if seen == nil {
		seen = Await(ctx, limit, changes(2))
	}
	report, err := watch.Stop()
	if err := errors.Join(seen, err); err != nil {
		return Move{}, fmt.Errorf("watching %s: %w", address, err)
	}
	change := report.Changes[1]
	from, errFrom := s.nodeOf(change.From)
	to, errTo := s.nodeOf(change.To)
	return Move{From: from, To: to, Silence: change.Silence}, errors.Join(errFrom, errTo)
}

// Get asks for a page from the client and returns the first line of the answer. It tries until the limit.
func (s *Suite) Get(ctx context.Context, host lab.Host, address netip.Addr, port uint16, limit time.Duration) (string, error) {
	url := "http://" + netip.AddrPortFrom(address, port).String() + "/"
	http := host.HTTPClient(time.Second)
	var line string
	err := Await(ctx, limit, func(ctx context.Context) error {
		var err error
		line, err = fetch(ctx, http, url)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("getting %s from host %s: %w", url, host.Name, err)
	}
	return line, nil
}

func fetch(ctx context.Context, c *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer is %s", response.Status)
	}
	line, _, _ := strings.Cut(string(body), "\n")
	return line, nil
}
