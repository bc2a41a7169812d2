// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/topology"
)

// pki is who is who in one lab: the authority behind the API server's certificate, and a token for each client.
type pki struct {
	ca     string
	tokens map[string]string
}

// user is a client of the API server, with the groups that Kubernetes' own bindings expect.
type user struct{ name, group string }

const admin = "admin"

func (l *Lab) users() []user {
	users := []user{
		{admin, "system:masters"},
		{"system:kube-controller-manager", ""},
		{"system:kube-scheduler", ""},
		{"system:kube-proxy", ""},
	}
	for _, node := range l.Inputs.NodeList() {
		users = append(users, user{"system:node:" + node.Name, "system:nodes"})
	}
	return users
}

func pkiFile(name string) string { return filepath.Join(machine.Data, "pki", name) }

// makePKI writes the API server's files and returns what its clients need.
func (l *Lab) makePKI() (*pki, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab-ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	caPEM, err := sign(ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	files := map[string]string{pkiFile("ca.crt"): caPEM}
	if err := l.addServing(files, ca, caKey); err != nil {
		return nil, err
	}
	if err := addServiceAccountKey(files); err != nil {
		return nil, err
	}
	clients := &pki{ca: caPEM, tokens: map[string]string{}}
	l.addTokens(files, clients)
	return clients, writeFiles(files)
}

func (l *Lab) addServing(files map[string]string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:     []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	host := topology.ControlPlaneHost()
	for _, address := range []netip.Addr{host.Addr4(), host.Addr6(), topology.APIService(), netip.MustParseAddr("127.0.0.1")} {
		server.IPAddresses = append(server.IPAddresses, net.IP(address.AsSlice()))
	}
	files[pkiFile("api.key")] = keyPEM
	files[pkiFile("api.crt")], err = sign(server, ca, &key.PublicKey, caKey)
	return err
}

func addServiceAccountKey(files map[string]string) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	files[pkiFile("sa.key")] = keyPEM
	files[pkiFile("sa.pub")] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	return nil
}

func (l *Lab) addTokens(files map[string]string, clients *pki) {
	var csv strings.Builder
	for _, user := range l.users() {
		secret := make([]byte, 16)
		// Never fails, says its documentation.
		_, _ = rand.Read(secret)
		token := hex.EncodeToString(secret)
		clients.tokens[user.name] = token
		fmt.Fprintf(&csv, "%s,%s,%s", token, user.name, user.name)
		if user.group != "" {
			fmt.Fprintf(&csv, ",%s", user.group)
		}
		csv.WriteString("\n")
	}
	files[pkiFile("tokens.csv")] = csv.String()
}

func newKey() (*ecdsa.PrivateKey, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), err
}

func sign(certificate, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (string, error) {
	now := time.Now()
	certificate.NotBefore, certificate.NotAfter = now.Add(-time.Hour), now.AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, public, key)
	if err != nil {
		return "", fmt.Errorf("signing a certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// kubeconfig is the file with which a client reaches the API server from inside any namespace of the lab.
func (p *pki) kubeconfig(user string) ([]byte, error) {
	return kubeconfigFile("https://"+apiAddress(), p.ca, p.tokens[user])
}

func apiAddress() string {
	return netip.AddrPortFrom(topology.ControlPlaneHost().Addr4(), 6443).String()
}
