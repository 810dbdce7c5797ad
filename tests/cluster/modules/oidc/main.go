// Command oidc is a server of access tokens that this project did not write: the OpenID Provider of github.com/zitadel/oidc, with the storage of its own
// example, in memory. What is added is what a test needs: a free port of the loopback, and a key that assertions of the account `service` are signed
// with, which is made anew each time.
//
// Clients: `sid1` (secret verysecret) by client credentials; `web` (secret secret) by codes and refresh tokens, which rotate;
// `service` by assertions (RFC 7523) under the key id `key1`. Users: test-user2, password verysecure.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// keyed is the example's storage with another key of the service account.
type keyed struct {
	*storage.Storage
	key *rsa.PublicKey
}

// GetKeyByIDAndClientID gives the key that an assertion is verified with.
func (k *keyed) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	if keyID != storage.ServiceUserKeyID || clientID != storage.ServiceUserID {
		return nil, errors.New("no such key")
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: k.key}, nil
}

func run() error {
	file := flag.String("private-key", "", "where the key is written that assertions are to be signed with, in PEM (PKCS #8)")
	flag.Parse()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(*file, block, 0o600); err != nil {
		return fmt.Errorf("the key cannot be written: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String()
	storage.RegisterClients(storage.WebClient("web", "secret"))
	store := &keyed{storage.NewStorage(storage.NewUserStore(issuer)), &key.PublicKey}
	fmt.Println("listening on", issuer)
	return http.Serve(listener, exampleop.SetupServer(issuer, store, nil, false))
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "oidc:", err)
		os.Exit(1)
	}
}
