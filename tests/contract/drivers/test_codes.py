"""What single codes of vendors mean, where they tell more than the status that they come with."""

import json

import pytest

from hypereal.providers.drivers import DRIVERS, Answer, FaultKind
from hypereal.providers.drivers.errors import decode, fault_of

CODES = {
    "ark": {
        "moderated": ("OutputVideoSensitiveContentDetected.PolicyViolation", "InputImageSensitiveContentDetected"),
        "rate": ("RateLimitExceeded.EndpointTPMExceeded",),
        "balance": ("AccountOverdueError", "QuotaExceeded"),
        "credential": ("ModelNotOpen", "InvalidEndpointOrModel.NotFound", "AccessDenied"),
        "vendor": ("ServerOverloaded", "ModelLoadingError"),
        "caller": ("InvalidParameter.UnsupportedImageFormat", "MissingParameter"),
    },
    "dashscope": {
        "moderated": ("DataInspectionFailed", "IPInfringementSuspect"),
        "rate": ("Throttling", "Throttling.RateQuota", "Throttling.BurstRate"),
        "balance": ("Arrearage", "Throttling.AllocationQuota"),
        "credential": ("InvalidApiKey", "Workspace.AccessDenied", "AccessDenied.Unpurchased"),
        "caller": ("InvalidParameter.DataInspection", "InvalidImage.FileFormat"),
        "vendor": ("InternalError.Algo", "ModelNotExist"),
    },
    "kling": {
        "credential": ("1000", "1004", "1103", "1304"),
        "balance": ("1100", "1101", "1102"),
        "caller": ("1200", "1201"),
        "lost": ("1202", "1203"),
        "moderated": ("1300", "1301"),
        "rate": ("1302", "1303"),
        "vendor": ("5000", "5001", "5002"),
    },
    "minimax": {
        "vendor": ("1000", "1001", "1024", "1033"),
        "rate": ("1002", "1039", "1041"),
        "credential": ("1004", "2049"),
        "balance": ("1008",),
        "moderated": ("1026", "1027"),
        "caller": ("1042", "2013"),
    },
    "vidu": {
        "moderated": ("AuditSubmitIllegal", "TaskPromptPolicyViolation", "CreationPolicyViolation"),
        "balance": ("CreditInsufficient",),
        "rate": ("TooManyRequests", "QuotaExceeded", "SystemThrottling"),
        "credential": ("Unauthorized", "Forbidden"),
        "lost": ("TaskNotFound", "CreationNotFound"),
        "cancelled": ("UserCancelled",),
        "caller": ("FieldLacking", "ImageDownloadFailure", "ImageCheckFaceFailed", "PageSizeOutOfRange"),
        "vendor": ("InternalServiceFailure", "ModelUnavailable", "SystemError"),
    },
    "openai": {
        "moderated": ("moderation_blocked", "content_policy_violation"),
        "balance": ("insufficient_quota", "billing_hard_limit_reached"),
        "rate": ("rate_limit_exceeded",),
        "credential": ("invalid_api_key",),
    },
    "elevenlabs": {
        "balance": ("quota_exceeded",),
        "rate": ("too_many_concurrent_requests", "system_busy"),
        "credential": ("invalid_api_key",),
    },
}
BODIES = {
    "kling": lambda code: {"code": int(code), "message": "x"},
    "dashscope": lambda code: {"output": {"task_status": "FAILED", "code": code, "message": "x"}},
    "minimax": lambda code: {"base_resp": {"status_code": int(code), "status_msg": "x"}},
    "vidu": lambda code: {"code": 418, "reason": code, "message": "x"},
    "elevenlabs": lambda code: {"detail": {"status": code, "message": "x"}},
}
ALL = [(vendor, kind, code) for vendor, kinds in CODES.items() for kind, codes in kinds.items() for code in codes]


@pytest.mark.parametrize(("vendor", "kind", "code"), ALL)
def test_a_code_means_the_same_with_every_status(vendor: str, kind: str, code: str) -> None:
    body = BODIES.get(vendor, lambda told: {"error": {"code": told, "message": "x"}})(code)
    for status in (200, 400, 418, 429, 500):
        answer = Answer(status=status, headers={}, body=json.dumps(body).encode(), url="http://vendor")
        told = fault_of(DRIVERS[vendor].errors, answer, decode(answer))
        assert (told.kind, told.code) == (FaultKind(kind), code)
