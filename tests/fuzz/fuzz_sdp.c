/* Session descriptions: parse, answer, write, and read our own answer again. */
#include "sip/sdp.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sdp sdp, ours;
    struct sip_local_audio local = {
        .direction = MEDIA_SENDRECV,
        .codecs = {{CODEC_OPUS, CODEC_G722, CODEC_PCMA, CODEC_PCMU}, 4}};
    struct sdp_origin origin = {1, UINT64_MAX};
    struct sip_audio audio;
    struct codec_list codecs;
    char text[SDP_TEXT_MAX];
    int accepted, bytes;

    address_parse("192.0.2.1:40000", &local.address);
    if (sdp_parse((const char *)data, size, &sdp))
        return 0;
    sdp_codecs(&sdp, &codecs);
    (void)sdp_direction(&sdp);
    if (!sdp_negotiate_offer(&sdp, &local, &audio))
        assert(audio.receive_count > 0 && audio.receive_count <= CODECS_MAX);
    if (sdp_negotiate_answer(&sdp, &local, &audio, &accepted)) {
        assert(codecs.count == 0); /* we have all codecs that there are */
        return 0;
    }
    bytes = sdp_write_answer(&origin, &local, &sdp, accepted, &audio, text);
    assert(bytes > 0 && strlen(text) == (size_t)bytes);
    assert(sdp_parse(text, (size_t)bytes, &ours) == 0);
    assert(ours.media_count == sdp.media_count);
    assert(ours.media[accepted].port == 40000);
    return 0;
}
