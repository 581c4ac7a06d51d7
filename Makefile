# Sallyport. What to type:
#   make run     install what is missing, build, start a realm, supernode and gateway here
#   make test    install what is missing, build, pass all tests
#   make demo    two sites and a supernode in network namespaces: a call you can read about
#   make         build only          make bench   print the figures
#   make lab     every two networks  make fuzz    fuzz each parser for FUZZ_SECONDS
#   make sim     the overlay simulated: stories, thousands of random worlds, tables
#   make sim-full    the tables at their largest
# Variables: V=1 (show commands), CC=clang, SAN=address,undefined or SAN=thread,
#   WERROR=1, O=build folder.

# -- Debian 12 packages: the only list ------------------------------------------------
PACKAGES = gcc pkg-config protobuf-c-compiler uthash-dev libsofia-sip-ua-dev libuv1-dev \
	libopus-dev libsrtp2-dev libssl-dev libsodium-dev libprotobuf-c-dev libconfuse-dev \
	libspeexdsp-dev libspandsp-dev libsqlite3-dev libjansson-dev libmicrohttpd-dev \
	libcurl4-openssl-dev libsndfile1-dev
TEST_PACKAGES = clang clang-format libclang-rt-14-dev libcmocka-dev baresip-core linphone-cli \
	sip-tester sox espeak-ng iproute2 nftables conntrack openssl sqlite3 python3 procps \
	tinyproxy faketime

# -- settings -------------------------------------------------------------------------
comma := ,
O ?= build$(if $(filter-out gcc cc,$(CC)),-$(notdir $(CC)))$(if $(SAN),-$(subst $(comma),-,$(SAN)))
ifeq ($(origin CC),default)
CC := gcc
endif
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)';)

LIBS_PKG = sofia-sip-ua libuv opus libsrtp2 openssl libsodium libprotobuf-c libconfuse speexdsp \
	spandsp sqlite3 jansson libmicrohttpd libcurl sndfile
# Looked up once, and only when the first recipe needs it: by then the packages are there.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(LIBS_PKG) | sed 's/-I/-isystem /g'))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $(LIBS_PKG)))$(PKG_LIBS)

WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
SANFLAGS = $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
OPT ?= -O2 -g
CPPFLAGS_ALL = -I. -I$(O)/gen -D_GNU_SOURCE $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu11 $(OPT) $(WARN) $(SANFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(SANFLAGS) $(LDFLAGS)

# -- sources --------------------------------------------------------------------------
FOLDERS = gateway sip overlay media conf
SRC = $(foreach f,$(FOLDERS),$(wildcard $(f)/*.c))
obj = $(patsubst %.c,$(O)/%.o,$(filter $(1)/%,$(SRC)))
GEN = $(O)/gen/overlay/overlay.pb-c
libs = $(foreach f,$(1),$(O)/lib$(f).a)
ALL_LIBS = $(call libs,sip overlay media conf)

all: $(O)/sallyport

$(O)/sallyport: $(O)/gateway/main.o $(O)/libgateway.a $(ALL_LIBS)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lm

$(O)/libgateway.a: $(filter-out $(O)/gateway/main.o,$(call obj,gateway))
$(O)/libsip.a: $(call obj,sip)
$(O)/liboverlay.a: $(call obj,overlay) $(GEN).o
$(O)/libmedia.a: $(call obj,media)
$(O)/libconf.a: $(call obj,conf)
$(O)/lib%.a:
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^

$(O)/%.o: %.c | $(O)/.packages
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The wire format: overlay/overlay.proto is the document, the code is generated.
$(GEN).c: overlay/overlay.proto | $(O)/.packages
	@mkdir -p $(@D)
	$(call say,GEN,$@)protoc-c --c_out=$(O)/gen overlay/overlay.proto
$(GEN).h: $(GEN).c ;
$(GEN).o: $(GEN).c
	$(call say,CC,$<)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -w -c -o $@ $<
GEN_USERS = $(patsubst %.c,$(O)/%.o,$(wildcard overlay/*.c tests/unit/overlay/*.c tests/sim/*.c \
	tests/fuzz/*.c tests/bench/*.c))
$(GEN_USERS): | $(GEN).h

# -- tests ----------------------------------------------------------------------------
# A test links only its own folder and conf: what it needs beyond that it may not have.
unit_bin = $(patsubst %.c,$(O)/%,$(wildcard tests/unit/$(1)/test_*.c))
UNIT = $(foreach f,$(FOLDERS),$(call unit_bin,$(f)))
SIM = $(patsubst %.c,$(O)/%,$(wildcard tests/sim/sim_*.c))
BENCH = $(patsubst %.c,$(O)/%,$(wildcard tests/bench/bench_*.c))
FUZZ = $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS = $(patsubst %.c,$(O)/%,$(wildcard tests/lab/netemu.c tests/interop/sound.c))

$(call unit_bin,conf): $(call libs,conf)
$(call unit_bin,sip): $(call libs,sip conf)
$(call unit_bin,media): $(call libs,media conf)
$(call unit_bin,overlay): $(call libs,overlay conf)
$(call unit_bin,gateway): $(call libs,gateway sip overlay media conf)
$(BENCH) $(FUZZ): $(call libs,gateway sip overlay media conf)

link_test = $(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o %.a,$^) -lcmocka $(PKG_LIBS) -lm
$(UNIT) $(BENCH): $(O)/%: $(O)/%.o
	$(link_test)
SIM_TABLES = $(O)/tests/sim/tables
SIM_RANDOM = $(O)/tests/sim/sim_random
SIM_PROGRAMS = $(SIM) $(SIM_TABLES)
TABLES = $(patsubst %.c,$(O)/%.o,$(wildcard tests/sim/table_*.c))
SIM_COMMON = $(patsubst %.c,$(O)/%.o,$(filter-out tests/sim/tables.c $(wildcard tests/sim/sim_*.c tests/sim/table_*.c),$(wildcard tests/sim/*.c)))
# tests/sim/checks.c, identities.c
$(SIM_TABLES): $(TABLES)
$(SIM_PROGRAMS): LDFLAGS_ALL += -Wl,--wrap=identity_verify,--wrap=certificate_check,--wrap=EVP_PKEY_Q_keygen,--wrap=RAND_bytes
$(SIM_PROGRAMS): $(O)/%: $(O)/%.o $(SIM_COMMON) $(call libs,overlay conf)
	$(link_test)
$(TOOLS): $(O)/%: %.c | $(O)/.packages $(O)/.test-packages
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -O2 -g -D_GNU_SOURCE -Wall -o $@ $< -lsndfile -lm
$(FUZZ): $(O)/%: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fsanitize=fuzzer -MMD -MP -o $@ $< \
		$(filter %.a,$^) $(PKG_LIBS) -lm

unit-%: $(O)/.test-packages
	$(Q)$(MAKE) --no-print-directory unit-run-$*
unit-run-%:
	$(Q)$(MAKE) --no-print-directory $(call unit_bin,$*)
	$(Q)tests/run $(call unit_bin,$*)
# The stories, as in `make test`; thousands of random worlds; what a realm costs and bears, as tables.
RANDOM_SEEDS ?= 3000
smoke_tables = $(Q)said=$$($(SIM_TABLES) smoke 2>&1) || { echo "$$said"; exit 1; }
sim: sim-stories
	$(Q)$(SIM_RANDOM) $(RANDOM_SEEDS)
	$(Q)$(SIM_TABLES)
sim-stories: $(O)/.test-packages
	$(Q)$(MAKE) --no-print-directory $(SIM) $(SIM_TABLES)
	$(Q)tests/run $(SIM)
	$(smoke_tables)
# The tables at larger sizes: a quarter of an hour, 1 GB. Any size: `tables cost 100000 200` takes as long, and 4 GB.
sim-full: $(O)/.test-packages
	$(Q)$(MAKE) --no-print-directory $(SIM_TABLES)
	$(Q)$(SIM_TABLES) full
tools: $(TOOLS)

# Fuzzers are clang's; FUZZ_SECONDS each, from the seeds in tests/fuzz/seeds/NAME.
FUZZ_SECONDS ?= 60
FUZZ_O = build-fuzz
fuzz: $(O)/.test-packages
	$(Q)$(MAKE) --no-print-directory O=$(FUZZ_O) CC=clang SAN=address,undefined \
		CFLAGS=-fsanitize=fuzzer-no-link fuzz-build
	$(Q)tests/fuzz/run $(FUZZ_O) $(FUZZ_SECONDS)
fuzz-build: $(FUZZ)

bench: $(O)/sallyport $(O)/.test-packages
	$(Q)$(MAKE) --no-print-directory $(BENCH) tools
	$(Q)O=$(O) tests/bench/run

SAN_O = build-address-undefined
test: $(O)/.test-packages
	$(Q)tests/layering
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined O=$(SAN_O) test-built
	$(Q)$(MAKE) --no-print-directory SAN=thread O=build-thread test-threads
	$(Q)$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)O=$(SAN_O) tests/interop/run
	$(Q)O=$(O) tests/lab/run quick
	$(Q)O=$(O) tests/lab/promises voice dies relay setup address --runs 1
	$(Q)O=$(O) tests/lab/hubs two restart silent grow --runs 1
test-built: $(O)/sallyport $(UNIT) $(SIM) $(SIM_TABLES) tools
	$(Q)tests/run $(UNIT) $(SIM)
	$(smoke_tables)
# Those that start threads of their own.
THREADED = $(call unit_bin,media) $(patsubst %,$(O)/tests/unit/overlay/test_%,overlay path path_tcp relay relay_udp revocation tls udp_port watch)
test-threads: $(THREADED)
	$(Q)tests/run $(THREADED)

lab: $(O)/sallyport $(O)/.test-packages tools
	$(Q)O=$(O) tests/lab/run full
	$(Q)O=$(O) tests/lab/promises
	$(Q)O=$(O) tests/lab/hubs
demo: $(O)/sallyport $(O)/.test-packages tools
	$(Q)O=$(O) tests/lab/demo
run: $(O)/sallyport
	$(Q)O=$(O) gateway/quickstart.sh run

# -- the rest -------------------------------------------------------------------------
install_missing = missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Abbrev}\n' $(1) 2>&1 | \
	awk '/no packages found/ {print $$NF} $$2 != "ii" && !/no packages/ {print $$1}'); \
	[ -z "$$missing" ] || { echo "installing:" $$missing; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq \
	--no-install-recommends $$missing >/dev/null; }
$(O)/.packages: Makefile
	@mkdir -p $(@D)
	@$(call install_missing,$(PACKAGES)) && touch $@
$(O)/.test-packages: Makefile
	@mkdir -p $(@D)
	@$(call install_missing,$(TEST_PACKAGES)) && touch $@
deps: $(O)/.packages $(O)/.test-packages

FORMATTED = $(SRC) $(wildcard */*.h tests/*/*.[ch] tests/unit/*/*.[ch])
format:
	$(Q)clang-format -i $(FORMATTED)
format-check:
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

clean:
	rm -rf build build-*

.PHONY: all test test-built test-threads fuzz fuzz-build bench lab demo run deps format format-check clean sim sim-stories sim-full tools
.SECONDARY:
-include $(shell find $(O) -name '*.d' 2>/dev/null)
