// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

// apiClient is the reviewer that asks the API server.
type apiClient struct {
	authentication authenticationclient.TokenReviewInterface
	authorization  authorizationclient.SubjectAccessReviewInterface
}

func newClient(config *rest.Config, httpClient *http.Client) (*apiClient, error) {
	authentication, err := authenticationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("preparing token reviews: %w", err)
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("preparing access reviews: %w", err)
	}
	return &apiClient{authentication: authentication.TokenReviews(), authorization: authorization.SubjectAccessReviews()}, nil
}

// Authenticate implements reviewer. The API server states why it refuses a token; the reason is of no use to the caller.
func (c *apiClient) Authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := c.authentication.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating a TokenReview: %w", err)
	}
	if !review.Status.Authenticated {
		return nil, nil
	}
	return &review.Status.User, nil
}

// Authorize implements reviewer.
func (c *apiClient) Authorize(ctx context.Context, user authenticationv1.UserInfo) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
		User:                  user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
	}}
	review, err := c.authorization.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("creating a SubjectAccessReview for %s: %w", user.Username, err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
