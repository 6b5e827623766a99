
êroot_tf_keras_layer"w{"class_name": "Lambda", "config": {"function": {"items": ["4wEAAAAAAAAAAAAAAAMAAAADAAAA8wwAAACXAGQBagAAAHwAUwA=\n"]}}}