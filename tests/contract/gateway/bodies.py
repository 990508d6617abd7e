"""Request bodies in the shapes that real agents send (clients.md 4), with invented prompts."""

from tests.support.server import MARK

CLAUDE_CODE = (
    b'{"model":"claude-sonnet-4-6","max_tokens":32000,"stream":true,"temperature":1.0,'
    b'"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330;"},'
    b'{"type":"text","text":"You answer about %s \\u00fcber \\/ and \xf0\x9f\x8c\x8d.",'
    b'"cache_control":{"type":"ephemeral"}}],'
    b'"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]},'
    b'{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"RXJ2Cg=="},'
    b'{"type":"tool_use","id":"toolu_9","name":"Read","input":{"offset":1.0,"limit":12345678901234567890}}]},'
    b'{"role":"user","content":[{"tool_use_id":"toolu_9","type":"tool_result","content":[{"type":"tool_reference",'
    b'"tool_name":"Bash"}],"is_error":false}]},{"role":"system","content":"mid"}],'
    b'"tools":[{"name":"Read","description":"r","input_schema":{"$schema":"http:\\/\\/json-schema.org\\/","type":"object",'
    b'"properties":{"z":{"type":"string"},"a":{"type":"number","exclusiveMinimum":0}}},"defer_loading":true}],'
    b'"thinking":{"type":"adaptive","display":"omitted"},"context_management":{"edits":[]},'
    b'"output_config":{"effort":"high"},"metadata":{"user_id":"{\\"device_id\\":\\"d\\",\\"session_id\\":\\"s\\"}"},'
    b'"brand_new_field":{"deep":[1e2,-0,0.10,null,true]}}'
) % MARK.encode()

CODEX = (
    b'{"model":"gpt-5.3-codex","input":[{"type":"message","id":"msg_c1","role":"developer","content":'
    b'[{"type":"input_text","text":"Patch %s."}]},{"type":"reasoning","id":"rs_1","summary":[],"content":null,'
    b'"encrypted_content":"gAAAAAB\\/x+="},{"type":"function_call","id":"fc_1","call_id":"call_1","name":"shell",'
    b'"arguments":"{\\"cmd\\":\\"ls\\"}"},{"type":"function_call_output","id":"fco_1","call_id":"call_1","output":"a"}],'
    b'"tools":[{"type":"function","name":"shell","strict":false,"parameters":{"type":"object","properties":{}}},'
    b'{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: X"}},'
    b'{"type":"namespace","name":"ns","tools":[{"type":"function","name":"f","parameters":{}}]},{"type":"tool_search"}],'
    b'"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"},"store":false,'
    b'"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"0198","text":{"verbosity":"low"},'
    b'"client_metadata":{"x":"1.0","big":123456789012345678901234567890}}'
) % MARK.encode()

OPENCODE = (
    b'{"model":"gpt-5.4","max_tokens":32000,"top_p":1.0,"messages":[{"role":"system","content":"About %s"},'
    b'{"role":"assistant","content":"","reasoning_content":" ","tool_calls":[{"id":"c1","type":"function","function":'
    b'{"name":"ls","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"[]"}],"tools":[{"type":"function",'
    b'"function":{"name":"ls","parameters":{"type":"object","properties":{"b":{},"a":{}}}}}],"tool_choice":"auto",'
    b'"stream":true,"stream_options":{"include_usage":true},"unknown":{"n":1.0,"m":1E5,"k":"\\u00e9"}}'
) % MARK.encode()

GEMINI_CLI = (
    b'{"contents":[{"role":"user","parts":[{"text":"See %s"}]},{"role":"model","parts":[{"functionCall":{"id":'
    b'"write_file_17_0","name":"write_file","args":{"n":1.0}},"thoughtSignature":"c2lnbmF0dXJl"}]},{"role":"user","parts":'
    b'[{"functionResponse":{"id":"write_file_17_0","name":"write_file","response":{"output":"ok"}}}]}],'
    b'"systemInstruction":{"role":"user","parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"write_file",'
    b'"parametersJsonSchema":{"type":"object","properties":{"z":{},"a":{}}}}]}],"generationConfig":{"temperature":1,'
    b'"topP":0.95,"topK":64,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}},"x_unknown":[1.0,2e0]}'
) % MARK.encode()

CLAUDE_CODE_WIDE = (
    b'{"model":"claude-opus-5-5","max_tokens":128000,"stream":true,"tools":[],"thinking":{"type":"adaptive","display":'
    b'"summarized"},"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},'
    b'"messages":[{"role":"user","content":"%s","output_config":{"effort":"low"}},{"role":"system","content":"mid"},'
    b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ToolSearch","input":{}}]},{"role":"user",'
    b'"content":[{"type":"tool_result","tool_use_id":"t","is_error":true,"content":[{"type":"tool_reference",'
    b'"tool_name":"Bash"}],"cache_control":{"type":"ephemeral","ttl":"5m"}}]}],"context_management":{"edits":'
    b'[{"type":"clear_thinking_20251015","keep":"all"}]},"temperature":1}'
) % MARK.encode()

CLAUDE_CODE_SEARCH = (
    b'{"model":"claude-haiku-5-5","max_tokens":32000,"stream":true,"messages":[{"role":"user","content":"%s"}],'
    b'"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":8}],"tool_choice":{"type":"tool",'
    b'"name":"web_search"},"thinking":{"type":"disabled"}}'
) % MARK.encode()

CODEX_OLD = (
    b'{"model":"gpt-5-codex","instructions":"About %s","input":[{"type":"message","role":"user","content":[{"type":'
    b'"input_text","text":"x"}]}],"tools":[{"type":"web_search"},{"type":"local_shell"}],"store":false,"stream":true,'
    b'"include":["reasoning.encrypted_content"],"prompt_cache_key":"k"}'
) % MARK.encode()

AI_SDK = (
    b'{"model":"gpt-5.4","input":[{"role":"developer","content":"About %s"},{"role":"user","content":[{"type":'
    b'"input_text","text":"x"}]},{"type":"item_reference","id":"rs_1"}],"store":false,"stream":true,"max_output_tokens":32000}'
) % MARK.encode()
