"""A mail server for tests: aiosmtpd. Prints its port, and then each mail it took as a line of JSON.

mail.py MODE CERTIFICATE PASSWORD REFUSALS [ADDRESS PORT]: MODE is starttls, wrapped or plain; CERTIFICATE holds a certificate and its key; the login is
`crosstie` with PASSWORD, and none is asked for in mode plain; so many mails are put off before the first is taken. It listens at a free
port of this machine's own address unless it is told where.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

mode, certificate, password, refusals = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
address, port = (sys.argv[5], int(sys.argv[6])) if len(sys.argv) > 6 else ("127.0.0.1", 0)


class Mails:
    left = refusals

    async def handle_DATA(self, server, session, envelope):
        if self.left > 0:
            self.left -= 1
            return "451 4.3.0 come again"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "subject": mail["subject"],
                    "id": mail["message-id"],
                    "text": mail.get_content(),
                    "login": session.auth_data.decode() if session.authenticated else None,
                    "tls": session.ssl is not None or mode == "wrapped",
                }
            ),
            flush=True,
        )
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    assert isinstance(data, LoginPassword)
    good = data.login == b"crosstie" and data.password == password.encode()
    return AuthResult(success=good, handled=False, auth_data=data.login)


async def main():
    context = None
    if mode != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    mails = Mails()

    def conversation():
        return SMTP(
            mails,
            hostname="mail.test",
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=authenticate,
            auth_required=mode != "plain",
            auth_require_tls=mode == "starttls",
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(conversation, address, port, ssl=context if mode == "wrapped" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
