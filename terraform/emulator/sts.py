"""Corrects the emulated STS: a web identity needs its provider in the account."""

from typing import Any

from .responses import Response, service


def require_oidc_provider() -> None:
    """Refuse a web identity unless the account has its OIDC provider, for its audience, as AWS does."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    sts, iam = service("sts"), service("iam")
    check_trust = sts._web_identity_trust_denied

    def check_provider_and_trust(role_arn: str, params: dict[str, Any], use_json: bool) -> Response | None:
        provider, claims = sts._web_identity_principal(params["WebIdentityToken"][0], None, role_arn)
        audience = next((value for name, value in claims.items() if name.endswith(":aud")), None)
        if audience not in iam._oidc_providers.get(provider, {}).get("ClientIDList", []):
            message = f"No OpenIDConnect provider {provider} for {audience}"
            return sts._error(400, "InvalidIdentityToken", message, ns="sts")
        return check_trust(role_arn, params, use_json)

    sts._web_identity_trust_denied = check_provider_and_trust
