// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

const served = "metallb-webhook-service.metallb-system.svc"

var birth = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func fresh(t *testing.T) credentials {
	t.Helper()
	return renew(t, credentials{}, birth)
}

func renew(t *testing.T, c credentials, now time.Time) credentials {
	t.Helper()
	next, err := c.renewed(served, now)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// trusted reports whether somebody who trusts these CAs accepts the serving certificate.
func trusted(t *testing.T, cas, cert, key []byte, now time.Time) bool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cas) {
		t.Fatal("no CA in the PEM")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: served, Roots: roots, CurrentTime: now})
	return err == nil
}

func TestFreshCredentialsServe(t *testing.T) {
	c := fresh(t)
	if !trusted(t, c.ca, c.cert, c.key, birth) {
		t.Error("the new certificate is not trusted")
	}
	block, _ := pem.Decode(c.ca)
	if ca, err := x509.ParseCertificate(block.Bytes); err != nil || ca.NotAfter != birth.Add(caLife) {
		t.Errorf("got a CA until %v, error %v", ca.NotAfter, err)
	}
}

func TestRenewal(t *testing.T) {
	other, err := credentials{}.renewed("another.name.svc", birth)
	if err != nil {
		t.Fatal(err)
	}
	good, stranger := fresh(t), fresh(t)
	for name, c := range map[string]struct {
		change     func(*credentials)
		after      time.Duration
		cert, caIs bool // whether each is the same afterwards
	}{
		"nothing":                           {cert: true, caIs: true},
		"just before two thirds of a year":  {after: servingLife*2/3 - 2*time.Hour, cert: true, caIs: true},
		"after two thirds of a year":        {after: servingLife*2/3 + 2*time.Hour, caIs: true},
		"after two thirds of the CA's life": {after: caLife*2/3 + 2*time.Hour},
		"years after everything expired":    {after: 2 * caLife},
		"the clock was set back":            {after: -24 * time.Hour},
		"a certificate for another name":    {change: func(c *credentials) { *c = other }, caIs: true},
		"a key of another certificate":      {change: func(c *credentials) { c.key = stranger.key }, caIs: true},
		"a certificate of another CA":       {change: func(c *credentials) { c.cert, c.key = stranger.cert, stranger.key }, caIs: true},
		"a CA whose key is lost":            {change: func(c *credentials) { c.caKey = nil }},
		"a CA that is none":                 {change: func(c *credentials) { c.ca, c.caKey = c.cert, c.key }},
		"nonsense":                          {change: func(c *credentials) { c.ca, c.cert = []byte("x"), []byte("y") }},
	} {
		t.Run(name, func(t *testing.T) {
			from, now := good, birth.Add(c.after)
			if c.change != nil {
				c.change(&from)
			}
			got := renew(t, from, now)
			if same := bytes.Equal(got.cert, from.cert); same != c.cert {
				t.Errorf("same certificate: %v", same)
			}
			if same := bytes.Equal(got.ca, from.ca); same != c.caIs {
				t.Errorf("same CA: %v", same)
			}
			if !trusted(t, got.ca, got.cert, got.key, now) {
				t.Error("the certificate is not trusted")
			}
			if again := renew(t, got, now); !again.equal(got) {
				t.Error("renewed twice")
			}
		})
	}
}

// While one replica serves what the CA before has signed, the API server must trust it still.
func TestNewCAKeepsTheOldOneTrusted(t *testing.T) {
	now := birth.Add(caLife*2/3 - time.Hour)
	old := renew(t, fresh(t), now)
	next := renew(t, old, now.Add(2*time.Hour))
	if bytes.Equal(old.ca, next.ca) || !trusted(t, next.ca, old.cert, old.key, now.Add(2*time.Hour)) {
		t.Error("want a new CA beside the old one")
	}
	if n := bytes.Count(renew(t, next, now.Add(caLife)).ca, []byte("BEGIN")); n > 2 {
		t.Errorf("%d CAs pile up", n)
	}
}
