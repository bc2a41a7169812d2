// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// caLife and servingLife are how long new certificates are valid. They are replaced after two thirds of it.
	caLife      = 10 * 365 * 24 * time.Hour
	servingLife = 365 * 24 * time.Hour
	// clockSkew is how far the clocks of the API server and of this node may differ.
	clockSkew = time.Hour
)

// credentials are a serving certificate and the CA that vouches for it, all as PEM. The CA whose key it is stands first in the CA
// certificates; behind it may be the one before, so that those who still serve its certificate are trusted.
type credentials struct {
	ca, caKey, cert, key []byte
}

// renewed returns credentials that serve a DNS name at this time: the same when they are good, else with a new serving certificate, and
// with a new CA when that is needed, too. What cannot be read is replaced.
func (c credentials) renewed(name string, now time.Time) (credentials, error) {
	if c.serves(name, now) {
		return c, nil
	}
	ca, key, err := c.authority(now)
	if err != nil {
		if c, err = c.withAuthority(now); err != nil {
			return c, err
		}
		if ca, key, err = c.authority(now); err != nil {
			return c, err
		}
	}
	template := certificate(name, now, servingLife)
	template.DNSNames = []string{name}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c.cert, c.key, err = sign(template, ca, key)
	return c, err
}

// serves reports whether the certificates are good for this name and not due for renewal.
func (c credentials) serves(name string, now time.Time) bool {
	ca, _, err := c.authority(now)
	if err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil || due(pair.Leaf, now) {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
	return err == nil
}

// authority returns the CA and its key, or why they can sign nothing more.
func (c credentials) authority(now time.Time) (*x509.Certificate, any, error) {
	first, _ := pem.Decode(c.ca)
	if first == nil {
		return nil, nil, errors.New("no CA certificate")
	}
	pair, err := tls.X509KeyPair(pem.EncodeToMemory(first), c.caKey)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("reading the CA: %w", err)
	case !pair.Leaf.IsCA || due(pair.Leaf, now):
		return nil, nil, errors.New("the CA certificate is due for renewal")
	}
	return pair.Leaf, pair.PrivateKey, nil
}

// withAuthority puts a new CA before the present one, which goes on being trusted while it is valid.
func (c credentials) withAuthority(now time.Time) (credentials, error) {
	template := certificate("metallb-webhook-ca", now, caLife)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	fresh, key, err := sign(template, template, nil)
	if err != nil {
		return c, err
	}
	if last, _ := pem.Decode(c.ca); last != nil {
		if old, err := x509.ParseCertificate(last.Bytes); err == nil && old.IsCA && now.Before(old.NotAfter) {
			fresh = append(fresh, pem.EncodeToMemory(last)...)
		}
	}
	c.ca, c.caKey = fresh, key
	return c, nil
}

// due reports whether a certificate is not valid or to be renewed: two thirds of its life are over.
func due(c *x509.Certificate, now time.Time) bool {
	life := c.NotAfter.Sub(c.NotBefore)
	return now.Before(c.NotBefore) || !now.Before(c.NotAfter.Add(-life/3))
}

func certificate(name string, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{"metalsuite"}},
		NotBefore: now.Add(-clockSkew),
		NotAfter:  now.Add(life),
	}
}

// sign returns a certificate with a new key (ECDSA P-256) as PEM. Without the key of the issuer it signs itself.
func sign(template, issuer *x509.Certificate, issuerKey any) (cert, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("creating a key: %w", err)
	}
	if issuerKey == nil {
		issuerKey = own
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, fmt.Errorf("creating a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, own.Public(), issuerKey)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// equal reports whether two credentials are the same.
func (c credentials) equal(other credentials) bool {
	return bytes.Equal(c.ca, other.ca) && bytes.Equal(c.caKey, other.caKey) && bytes.Equal(c.cert, other.cert) && bytes.Equal(c.key, other.key)
}
