/* Wrong files and the exact messages that they get. */
#include "tests/unit/conf/files.h"

#include <errno.h>

struct wrong {
    const char *text;
    const char *messages; /* without the "w.conf:" that each begins with */
};

/* Each file is loaded from w.conf in a folder with the files that set_up makes. */
static const struct wrong names[] = {
    {"state_dri = \"x\"\n",
     "1: unknown setting \"state_dri\" outside of any section; did you mean \"state_dir\"?\n"},
    {"sip { lisen = \"udp:0.0.0.0:5060\" }\n",
     "1: unknown setting \"lisen\" in section sip; did you mean \"listen\"?\n"},
    {"phone \"1\" { secret = \"x\" max_contact = 3 }\nsip { }\n",
     "1: unknown setting \"max_contact\" in section phone; did you mean \"max_contacts\"?\n"},
    {"admin { xyz = 1 }\n", "1: unknown setting \"xyz\" in section admin; known are listen\n"},
    {"realm { xyz = 1 }\n",
     "1: unknown setting \"xyz\" in section realm; known are enrolment and revocation\n"},
    {"sip { codecs = { \"opus\" } }\n",
     "1: unknown setting \"codecs\" in section sip; it belongs into section media\n"},
    {"sip { state_dir = \"x\" }\n",
     "1: unknown setting \"state_dir\" in section sip; it stands outside of the sections\n"},
    {"sip = \"x\"\n",
     "1: unknown setting \"sip\" outside of any section; it is a section: write sip { ... }\n"},
    {"fone \"201\" { secret = \"x\" }\n", "1: unknown section \"fone\"; did you mean \"phone\"?\n"},
    {"overlya { }\n", "1: unknown section \"overlya\"; did you mean \"overlay\"?\n"},
    {"trunk \"carrier\" { host = \"x\" deep { a = { 1, 2 } } }\n",
     "1: unknown section \"trunk\"; known are realm, overlay, sip, media, admin, log, phone and "
     "route\n"},
    {"a = 1\nsip { b = 2\nc = 3 }\nfoo { }\nd = { 1, 2 }\n",
     "1: unknown setting \"a\" outside of any section; known are state_dir\n"
     "2: unknown setting \"b\" in section sip; known are listen, domain, registrations, "
     "digest, min_expires, "
     "max_expires, ring_timeout, max_connections and max_connections_per_address\n"
     "3: unknown setting \"c\" in section sip; known are listen, domain, registrations, "
     "digest, min_expires, "
     "max_expires, ring_timeout, max_connections and max_connections_per_address\n"
     "4: unknown section \"foo\"; known are realm, overlay, sip, media, admin, log, phone and "
     "route\n"
     "5: unknown setting \"d\" outside of any section; known are state_dir\n"},
    {"sip { }\nphone { secret = \"x\" }\n",
     "2: section phone needs a name; write for example phone \"201\" { ... }\n"},
    {"sip \"x\" { }\n", "1: section sip has no name; write sip { ... }\n"},
    {"sip { }\nphone \"2 1\" { secret = \"x\" }\n",
     "2: \"2 1\" cannot name a phone; use up to 63 letters, digits and - _ . + * #\n"},
    {"sip { }\n\nsip { }\n", "3: section sip was given before, at w.conf:1; join the two\n"},
    {"sip { }\nphone \"201\" { secret = \"x\" }\nphone \"201\" { secret = \"y\" }\n",
     "3: phone \"201\" was given before, at w.conf:2; remove or rename one of the two\n"},
    {"route \"a\" { match = \"1\" to = \"service:echo\" }\nroute \"a\" { }\n",
     "2: route \"a\" was given before, at w.conf:1; remove or rename one of the two\n"},
    {"sip { domain = \"a\"\ndomain = \"b\" }\n",
     "2: \"domain\" was set before, at w.conf:1; remove one of the two\n"},
    {"state_dir = \"a\"\nstate_dir = \"b\"\n",
     "2: \"state_dir\" was set before, at w.conf:1; remove one of the two\n"},
    {"sip { domain = { \"a\", \"b\" } }\n",
     "1: \"domain\" takes one value; write it without braces\n"},
    {"media { codecs = { } }\n",
     "1: \"codecs\" is an empty list; name at least one or leave the setting out\n"},
};

static const struct wrong values[] = {
    {"sip { ring_timeout = 30 }\n", "1: sip: ring_timeout \"30\" has no unit; write a number and "
                                    "s, m, h or d, for example \"30s\" "
                                    "or \"5m\"\n"},
    {"sip { ring_timeout = \"30x\" }\n", "1: sip: ring_timeout \"30x\" has an unknown unit; write "
                                         "a number and s, m, h or d, for example "
                                         "\"30s\" or \"5m\"\n"},
    {"sip { ring_timeout = \"500ms\" }\n",
     "1: sip: ring_timeout \"500ms\" has an unknown unit; write a number and s, m, h or d, for "
     "example \"30s\" or \"5m\"\n"},
    {"sip { ring_timeout = soon }\n",
     "1: sip: ring_timeout \"soon\" is no duration; write a number and s, m, h or d, for example "
     "\"30s\" or \"5m\"\n"},
    {"sip { ring_timeout = 1h }\n",
     "1: sip: ring_timeout \"1h\" is out of range; allowed are 5s to 10m\n"},
    {"sip { ring_timeout = \"99999999999999999999s\" }\n",
     "1: sip: ring_timeout \"99999999999999999999s\" is out of range; allowed are 5s to 10m\n"},
    {"media { timeout = 0s }\n",
     "1: media: timeout \"0s\" is out of range; allowed are 5s to 1h\n"},
    {"media { workers = many }\n",
     "1: media: workers \"many\" is no whole number; allowed are 0 to 64\n"},
    {"media { workers = -1 }\n", "1: media: workers \"-1\" is out of range; allowed are 0 to 64\n"},
    {"sip { }\nphone \"1\" { secret = \"x\" max_contacts = 0 }\n",
     "2: phone \"1\": max_contacts \"0\" is out of range; allowed are 1 to 20\n"},
    {"realm { enrolment = \"e\" }\noverlay { udp = maybe }\n",
     "2: overlay: udp \"maybe\" is neither true nor false; write true or false\n"},
    {"realm { enrolment = \"e\" }\noverlay { udp_port = 70000 }\n",
     "2: overlay: udp_port \"70000\" is out of range; allowed are 1 to 65535\n"},
    {"log { level = \"warning\" sip = \"loud\" }\n",
     "1: log: level \"warning\" is no level; did you mean \"warn\"?\n"
     "1: log: sip \"loud\" is no level; known are error, warn, info and debug\n"},
    {"state_dir = \"\"\n", "1: state_dir is empty; give a value or leave the setting out\n"},
    {"sip { domain = \"a b\" }\n",
     "1: sip: domain \"a b\" is no host name; write for example \"berlin.example\"\n"},
    {"admin { listen = \"localhost:80\" }\n", "1: admin: listen \"localhost:80\" is no address; "
                                              "write IP:PORT, for example \"0.0.0.0:443\" or "
                                              "\"[::]:443\"\n"},
    {"admin { listen = \"127.0.0.1:0\" }\n",
     "1: admin: listen \"127.0.0.1:0\" has port 0; give a port from 1 to 65535\n"},
    {"sip { listen = { \"0.0.0.0:5060\", \"udp:1.2.3:5060\" } }\n",
     "1: sip: listen \"0.0.0.0:5060\" does not begin with udp: or tcp:; write \"udp:IP:PORT\" or "
     "\"tcp:IP:PORT\", for example \"udp:0.0.0.0:5060\"\n"
     "1: sip: listen \"1.2.3:5060\" is no address; write \"udp:IP:PORT\" or \"tcp:IP:PORT\", for "
     "example \"udp:0.0.0.0:5060\"\n"},
    {"media { address = \"phones\" }\n",
     "1: media: address \"phones\" is no IP address; write for example \"192.0.2.1\"\n"},
    {"media { address = \"0.0.0.0\" }\n",
     "1: media: address \"0.0.0.0\" is no address that a phone can send to; name one of this "
     "machine\n"},
    {"realm { enrolment = \"e\" }\noverlay { proxy = \"http://proxy\" }\n",
     "2: overlay: proxy \"http://proxy\" is not HOST:PORT or USER:SECRET@HOST:PORT; write for "
     "example \"proxy.example:3128\"\n"},
    {"realm { enrolment = \"e\" }\noverlay { proxy = \"anna:s3cret@proxy\" }\n",
     "2: overlay: proxy \"proxy\" is not HOST:PORT or USER:SECRET@HOST:PORT; write for example "
     "\"proxy.example:3128\"\n"},
    {"realm { enrolment = \"e\" }\noverlay { trust = { \"paris\", \"a b\" } }\n",
     "2: overlay: trust \"a b\" is no site name; write names such as \"paris\", or \"*\" for "
     "all\n"},
    {"realm { enrolment = \"e\" }\noverlay { supernodes = { \"a:1\", \"b\", \"1.2.3:4\" } }\n",
     "2: overlay: supernodes \"b\" is not HOST:PORT; write for example \"gate.example:443\"\n"
     "2: overlay: supernodes \"1.2.3:4\" is not HOST:PORT; write for example "
     "\"gate.example:443\"\n"},
    {"media { codecs = { \"opsu\", \"pcmu\", \"PCMU\", \"gsm\" } }\n",
     "1: media: codecs names unknown codec \"opsu\"; did you mean \"opus\"?\n"
     "1: media: codecs names pcmu twice; name each codec once\n"
     "1: media: codecs names unknown codec \"gsm\"; known are pcmu, pcma, g722 and opus\n"},
    {"realm { enrolment = \"e\" }\noverlay { roles = { \"gatway\", \"king\" } }\n",
     "2: overlay: roles names unknown role \"gatway\"; did you mean \"gateway\"?\n"
     "2: overlay: roles names unknown role \"king\"; known are gateway, supernode, relay and "
     "client\n"},
    {"realm { enrolment = \"e\" }\noverlay { supernode = alway }\n",
     "2: overlay: supernode \"alway\" does not say when; did you mean \"always\"?\n"},
    {"realm { enrolment = \"e\" }\noverlay { supernode = true }\n",
     "2: overlay: supernode \"true\" does not say when; known are auto, always and never\n"},
    {"realm { enrolment = \"e\" }\noverlay { seats = 0 }\n",
     "2: overlay: seats \"0\" is out of range; allowed are 1 to 1000000\n"},
    {"realm { enrolment = \"e\" }\noverlay { weight = 0 }\n",
     "2: overlay: weight \"0\" is out of range; allowed are 1 to 65535\n"},
    {"media { ports = \"20000\" }\n",
     "1: media: ports \"20000\" is no range; write FIRST-LAST, for example \"20000-29999\"\n"},
    {"media { ports = \"80-1000\" }\n",
     "1: media: ports \"80-1000\" is out of range; allowed are ports 1024 to 65535\n"},
    {"media { ports = \"30000-20000\" }\n",
     "1: media: ports \"30000-20000\" ends before it begins; write \"20000-30000\"\n"},
    {"media { ports = \"20000-20002\" }\n", "1: media: ports \"20000-20002\" is too small; a call "
                                            "between two phones takes 4 ports, give 4 "
                                            "for each call\n"},
    {"realm { enrolment = \"nowhere.enrol\" }\n",
     "1: realm: enrolment \"nowhere.enrol\" cannot be read: No such file or directory; check the "
     "path and its permissions\n"},
};

static const struct wrong secrets[] = {
    {"sip { }\nphone \"1\" { }\n",
     "2: phone \"1\" has no secret; add secret, secret_file or secret_env\n"},
    {"sip { }\nphone \"1\" { secret = \"hunter2\"\nsecret_file = \"secret\" }\n",
     "3: phone \"1\": secret_file is a second secret; give only one of secret, secret_file and "
     "secret_env\n"},
    {"sip { }\nphone \"1\" { secret = \"\" }\n",
     "2: phone \"1\": secret is empty; give the phone a secret\n"},
    {"sip { }\nphone \"1\" { secret_file = \"nowhere\" }\n",
     "2: phone \"1\": secret_file \"nowhere\" cannot be read: No such file or directory; check the "
     "path and its permissions\n"},
    {"sip { }\nphone \"1\" { secret_file = \"empty\" }\n",
     "2: phone \"1\": secret_file is empty in its file; give the phone a secret\n"},
    {"sip { }\nphone \"1\" { secret_file = \"long\" }\n",
     "2: phone \"1\": secret_file \"long\" is too long for a secret; allowed are 255 bytes\n"},
    {"sip { }\nphone \"1\" { secret_file = \"lines\" }\n",
     "2: phone \"1\": secret_file has a byte that is no printable UTF-8 text in its file; remove "
     "it\n"},
    {"sip { }\nphone \"1\" { secret_file = \"nul\" }\n",
     "2: phone \"1\": secret_file \"nul\" holds a NUL byte; write the secret as text\n"},
    {"sip { }\nphone \"1\" { secret_file = \".\" }\n",
     "2: phone \"1\": secret_file \".\" is no regular file; put the secret into a file of its "
     "own\n"},
    {"sip { }\nphone \"1\" { secret_env = \"CONF_TEST_UNSET\" }\n",
     "2: phone \"1\": secret_env names \"CONF_TEST_UNSET\", which is not set; set this environment "
     "variable\n"},
    {"sip { }\nphone \"1\" { secret_env = \"hunter2\" }\n",
     "2: phone \"1\": secret_env names an environment variable that is not set; set it\n"},
    {"sip { }\nphone \"1\" { secret_env = \"CONF_TEST_EMPTY\" }\n",
     "2: phone \"1\": secret_env is empty in the environment; give the phone a secret\n"},
    {"phone \"1\" { secret = \"hunter2\" }\n",
     "1: phone \"1\" cannot register without SIP; add sip { listen = \"udp:0.0.0.0:5060\" }\n"},
    /* text of a secret never comes back, wherever a quote or a sign went wrong */
    {"sip { }\nphone \"1\" { secret = \"hunter2 }\n",
     "2: the string is not closed; end it on the line that it begins on\n"},
    {"sip { }\nphone \"1\" { secret = \"x\" \"hunter2\" }\n",
     "2: a setting does not begin here; write NAME = VALUE, a value of several words in double "
     "quotes\n"},
    {"sip { }\nphone \"1\" { secret = correct hunter2 }\n",
     "2: a name without a value; write NAME = VALUE\n"},
    {"sip { }\nphone \"1\" { secret = hunter2$ }\n",
     "2: unexpected character; put the value into double quotes\n"},
    {"sip { }\nphone \"1\" { secret = \"hunter\\2\" }\n",
     "2: lone \\ in a string; write \\\\ for a backslash\n"},
    {"sip { }\nphone \"1\" { secret = { \"hunter2\" } }\n",
     "2: \"secret\" takes one value; write it without braces\n"},
};

static const struct wrong routes[] = {
    {"route \"a\" { }\n",
     "1: route \"a\" has no match; add for example match = \"^8([0-9]+)$\"\n"
     "1: route \"a\" has no destination; add for example to = \"phone:201\"\n"},
    {"route \"a\" { match = \"^(8\" to = \"service:echo\" }\n",
     "1: route \"a\": match \"^(8\" is no regular expression: Unmatched ( or \\(; write for "
     "example "
     "\"^8([0-9]+)$\"\n"},
    {"route \"a\" { match = \"((x{255}){255}){255}\" to = \"service:echo\" }\n",
     "1: route \"a\": match \"((x{255}){255}){255}\" repeats too often; use smaller numbers in { "
     "}\n"},
    {"route \"a\" { match = '(x*)\\1' to = \"service:echo\" }\n",
     "1: route \"a\": match \"(x*)\\1\" refers to its own groups; use \\1 in \"to\" only\n"},
    {"route \"a\" { match = \"^\\+49\" to = \"service:echo\" }\n",
     "1: lone \\ in a string; write \\\\ for a backslash\n"},
    {"route \"a\" { match = \"1\" to = \"201\" }\n",
     "1: route \"a\": to \"201\" is not KIND:NAME; write for example \"phone:201\" or "
     "\"overlay:\\\\1@paris\"\n"},
    {"route \"a\" { match = \"1\" to = \"fone:201\" }\n",
     "1: route \"a\": to names unknown kind \"fone\"; did you mean \"phone\"?\n"},
    {"route \"a\" { match = \"1\" to = \"trunk:carrier\" }\n",
     "1: route \"a\": to names unknown kind \"trunk\"; known are phone, overlay and service\n"},
    {"sip { }\nphone \"201\" { secret = \"x\" }\nroute \"a\" { match = \"1\" to = \"phone:210\" "
     "}\n",
     "3: route \"a\": to: there is no phone \"210\"; did you mean \"201\"?\n"},
    {"route \"a\" { match = \"1\"\nto = \"phone:210\" }\n",
     "2: route \"a\": to: there is no phone \"210\"; add phone \"210\" { ... }\n"},
    {"route \"a\" { match = \"1\" to = \"service:ecko\" }\n",
     "1: route \"a\": to names unknown service \"ecko\"; did you mean \"echo\"?\n"},
    {"route \"a\" { match = \"1\" to = \"service:music\" }\n",
     "1: route \"a\": to names unknown service \"music\"; known are echo\n"},
    {"realm { enrolment = \"e\" }\n"
     "route \"a\" { match = \"^(8)([0-9]+)$\" to = \"overlay:\\\\3@paris\" }\n",
     "2: route \"a\": to \"overlay:\\3@paris\" uses \\3, but match has 2 groups; add ( ) to "
     "match\n"},
    {"realm { enrolment = \"e\" }\nroute \"a\" { match = \"^(8)\" to = 'overlay:\\0@paris' }\n",
     "2: route \"a\": to \"overlay:\\0@paris\" has a backslash without a group; write \\1 to \\9 "
     "(in "
     "double quotes \"\\\\1\")\n"},
    {"route \"a\" { match = \"^8(.*)\" to = \"overlay:\\\\1@paris\" }\n",
     "1: route \"a\": to \"overlay:\\1@paris\" needs a realm; add realm { enrolment = \"FILE\" "
     "}\n"},
    {"realm { enrolment = \"e\" }\nroute \"a\" { match = \"1\" to = \"overlay:201\" }\n",
     "2: route \"a\": to \"overlay:201\" is neither USER@SITE nor a number with +; write for "
     "example "
     "\"overlay:\\\\1@paris\"\n"},
};

static const struct wrong pairs[] = {
    {"sip { min_expires = 2h\nmax_expires = 1h }\n",
     "1: sip: min_expires 2h is more than max_expires 1h; make it smaller\n"},
    {"sip { max_connections = 10 }\n",
     "1: sip: max_connections_per_address 50 is more than max_connections 10; make it smaller\n"},
    {"sip { listen = { \"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\", \"udp:127.0.0.1:5060\" } }\n",
     "1: sip: listen udp 127.0.0.1:5060 is the same port as listen of section sip, udp "
     "0.0.0.0:5060; choose another\n"},
    {"admin { listen = \"127.0.0.1:443\" }\nrealm { enrolment = \"e\" }\n"
     "overlay { listen = \"0.0.0.0:443\" }\n",
     "3: overlay: listen tcp 0.0.0.0:443 is the same port as listen of section admin, tcp "
     "127.0.0.1:443; choose another\n"},
    {"sip { listen = \"udp:10.0.0.1:20001\" }\nmedia { ports = \"20000-20100\" }\n",
     "2: media: ports udp 20000-20100 is the same port as listen of section sip, udp "
     "10.0.0.1:20001; choose another\n"},
    {"sip { digest = { \"sha\", \"md5\" } }\n",
     "1: sip: digest names unknown digest \"sha\"; known are sha-256 and md5\n"},
    {"realm { enrolment = \"e\" }\noverlay { roles = { \"supernode\" } }\n",
     "2: overlay: roles has supernode, but there is no listen; add listen = \"0.0.0.0:443\"\n"},
    {"realm { enrolment = \"e\" }\noverlay { roles = { }\nsupernode = always }\n",
     "3: overlay: supernode is \"always\", but there is no listen; add listen = "
     "\"0.0.0.0:443\"\n"},
    {"realm { enrolment = \"e\" }\noverlay { listen = \"0.0.0.0:443\" roles = { \"supernode\" "
     "}\nsupernode = never }\n",
     "3: overlay: supernode is \"never\", but roles has supernode; remove one of the two\n"},
    {"realm { enrolment = \"e\" }\nsip { listen = \"udp:10.0.0.1:443\" }\n"
     "overlay { listen = \"0.0.0.0:443\" supernode = auto }\n",
     "3: overlay: listen udp 0.0.0.0:443 is the same port as listen of section sip, udp "
     "10.0.0.1:443; choose another\n"},
    {"overlay { udp = false }\n",
     "1: section overlay needs a realm; add realm { enrolment = \"FILE\" }\n"},
    {"realm { revocation = \"e\" }\n",
     "1: realm: revocation needs an enrolment; add enrolment = \"FILE\"\n"},
};

static const struct wrong syntax[] = {
    {"sip {\n\n", "1: section sip has no end; add } after its last setting\n"},
    {"sip {\nphone \"201\" { secret = \"x\" }\n", "2: this is not NAME = VALUE; a } may be missing "
                                                  "before it, or quotes around a value of several "
                                                  "words\n"},
    {"foo {\n", "1: unknown section \"foo\"; known are realm, overlay, sip, media, admin, log, "
                "phone and route\n"
                "1: this section has no end; add } after its last setting\n"},
    {"sip { }\n}\n", "2: } without a section that it could close; remove it\n"},
    {"/* a\nsip { }\n", "1: the comment that begins here has no end; add */\n"},
    {"sip { domain }\n", "1: a name without a value; write NAME = VALUE\n"},
    {"sip { domain = }\n", "1: = without a value; write the value after it, in double quotes\n"},
    {"media { codecs = { \"opus\" \"pcmu\" } }\n",
     "1: a list is not written as { \"one\", \"two\" }; check its commas and braces\n"},
    {"media { codecs = { , } }\n",
     "1: a list is not written as { \"one\", \"two\" }; check its commas and braces\n"},
    {"media { codecs += { \"opus\" } }\n", "1: += is not known; write = and the whole list\n"},
    {"state_dir += \"x\"\n", "1: += is not known; write = and the whole list\n"},
    {"state_dir\n", "1: a name stands alone; write NAME = VALUE or NAME { ... }\n"},
    {"\"sip\" { }\n",
     "1: neither a setting nor a section begins here; write NAME = VALUE or NAME { ... }\n"},
    {"phone \"201\" = \"x\"\n",
     "1: this is neither NAME = VALUE nor a section; check = { and quotes\n"},
    {"state_dir = /var/lib\n", "1: unexpected character; put the value into double quotes\n"},
    {"state_dir = \"a\tb\"\n",
     "1: the string has a byte that is no printable UTF-8 text; remove it\n"},
    {"state_dir = \"a\xff\"\n",
     "1: the string has a byte that is no printable UTF-8 text; remove it\n"},
    {"state_dir = \"${CONF_TEST_UNSET}\"\n",
     "1: environment variable CONF_TEST_UNSET is not set; set it or write "
     "${CONF_TEST_UNSET:-text}\n"},
    {"state_dir = \"${A\"\n", "1: ${ without } in a string; write ${NAME}\n"},
    {"state_dir = \"${}\"\n",
     "1: ${…} needs the name of an environment variable; write ${NAME} or ${NAME:-text}\n"},
    {"state_dir = \"${A B}\"\n",
     "1: ${…} needs the name of an environment variable; use letters, digits and _ only\n"},
    /* what was found before a syntax error is told as well */
    {"a = 1\nb = \"\n", "1: unknown setting \"a\" outside of any section; known are state_dir\n"
                        "2: unknown setting \"b\" outside of any section; known are state_dir\n"
                        "2: the string is not closed; end it on the line that it begins on\n"},
};

static const struct wrong includes[] = {
    {"include \"nowhere.conf\"\n",
     "1: include \"nowhere.conf\" names no file that is there; check the path\n"},
    {"include \"\"\n", "1: include \"\" names no file; give a path of up to 1024 bytes\n"},
    {"include \"${HOME}/a.conf\"\n",
     "1: include \"${HOME}/a.conf\" is no plain path; write it without \\ and ${\n"},
    {"include \".\"\n", "1: include \".\" is no regular file; name files only\n"},
    {"# one\ninclude \"w.conf\"\n",
     "2: include \"w.conf\" leads back to itself; remove one of the includes\n"},
    {"include \"*************\"\n",
     "1: include \"*************\" has too many wildcards; use up to 8\n"},
    {"sip { include \"x\" }\n", "1: this is not NAME = VALUE; a } may be missing before it, or "
                                "quotes around a value of several "
                                "words\n"},
};

static int set_up(void **state)
{
    char long_secret[400];

    if (files_enter(state) < 0)
        return -1;
    memset(long_secret, 'x', sizeof long_secret);
    files_write("e", "");
    files_write("secret", "file-secret\n");
    files_write("empty", "\n");
    files_write("lines", "two\nlines\n");
    files_write_bytes("nul", "a\0b", 3);
    files_write_bytes("long", long_secret, sizeof long_secret);
    unsetenv("CONF_TEST_UNSET");
    setenv("CONF_TEST_EMPTY", "", 1);
    return 0;
}

/* Takes the "w.conf:" off the start of each line. */
static void strip_file(char *text)
{
    char *to = text;

    for (char *line = text; *line;) {
        char *end = strchr(line, '\n') + 1;
        if (strncmp(line, "w.conf:", 7) == 0)
            line += 7;
        memmove(to, line, (size_t)(end - line));
        to += end - line;
        line = end;
    }
    *to = '\0';
}

static void check_row(const struct wrong *row)
{
    struct conf *conf = NULL;
    struct conf_errors errors;

    files_write("w.conf", row->text);
    int ret = conf_load("w.conf", &conf, &errors);
    assert_non_null(errors.text);
    strip_file(errors.text);
    if (strcmp(errors.text, row->messages) != 0)
        print_error("%s", row->text);
    assert_string_equal(errors.text, row->messages);
    assert_null(strstr(errors.text, "hunter"));
    assert_int_equal(ret, -EINVAL);
    assert_null(conf);
    conf_errors_fini(&errors);
}

#define CHECK_TABLE(table)                                          \
    static void test_##table(void **state)                          \
    {                                                               \
        (void)state;                                                \
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) \
            check_row(&table[i]);                                   \
    }

CHECK_TABLE(names)
CHECK_TABLE(values)
CHECK_TABLE(secrets)
CHECK_TABLE(routes)
CHECK_TABLE(pairs)
CHECK_TABLE(syntax)
CHECK_TABLE(includes)

/* A file that was refused does not spoil the next one: libconfuse's lexer keeps its state. */
static void test_good_after_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof syntax / sizeof syntax[0]; i++) {
        check_row(&syntax[i]);
        struct conf *conf = files_load("# note\nsip { domain = \"a.example\" }\n");
        assert_string_equal(conf->sip.domain, "a.example");
        conf_free(conf);
    }
}

static void test_main_file(void **state)
{
    static const struct {
        const char *path;
        int ret;
        const char *message;
    } rows[] = {
        {"no.conf", -ENOENT,
         "no.conf: cannot be read: No such file or directory; check the path and its "
         "permissions\n"},
        {".", -EINVAL, ".: is no regular file; name a file\n"},
        {"/dev/null", -EINVAL, "/dev/null: is no regular file; name a file\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conf *conf = NULL;
        struct conf_errors errors;
        assert_int_equal(conf_load(rows[i].path, &conf, &errors), rows[i].ret);
        assert_string_equal(errors.text, rows[i].message);
        assert_int_equal(errors.count, 1);
        conf_errors_fini(&errors);
    }
}

/* Messages of several files: each file's own lines, the main file first. */
static void test_order_over_files(void **state)
{
    struct conf *conf = NULL;
    struct conf_errors errors;

    (void)state;
    files_write("inner.conf", "\nphone \"1\" { }\nx = 1\n");
    files_write("w.conf", "include \"inner.conf\"\nsip { min_expires = 1x }\ny = 1\n");
    assert_int_equal(conf_load("w.conf", &conf, &errors), -EINVAL);
    assert_string_equal(
        errors.text,
        "w.conf:2: sip: min_expires \"1x\" has an unknown unit; write a number and s, m, h or d, "
        "for example \"30s\" or \"5m\"\n"
        "w.conf:3: unknown setting \"y\" outside of any section; known are state_dir\n"
        "inner.conf:2: phone \"1\" has no secret; add secret, secret_file or secret_env\n"
        "inner.conf:3: unknown setting \"x\" outside of any section; known are state_dir\n");
    conf_errors_fini(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_secrets),   cmocka_unit_test(test_routes),
        cmocka_unit_test(test_pairs),     cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_includes),  cmocka_unit_test(test_good_after_each),
        cmocka_unit_test(test_main_file), cmocka_unit_test(test_order_over_files),
    };

    return cmocka_run_group_tests(tests, set_up, files_leave);
}
